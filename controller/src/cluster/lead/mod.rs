//! The lead path: from what was found in the cluster to states and actions. Every replica tells how
//! it is ([`heartbeat`]); one of them ([`election`]) watches what all say ([`fleet`]), decides what
//! follows, writes it into the `VersionedApp`s and acts on workloads. Commands are taken by any
//! replica ([`handle`]): they are written into the resource, and the leader goes on from there.

mod acts;
mod conditions;
mod decide;
pub mod election;
mod events;
pub mod fleet;
pub mod handle;
pub mod heartbeat;
pub mod identity;
mod leader;
mod leases;
mod links;
mod memo;
mod perform;
mod plan;
pub mod report;
mod status;
mod step;
mod trouble;
mod unready;
mod webhook;
mod work;
mod world;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::Client;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub use election::LeaseTimes;
pub use handle::LeadHandle;
pub use identity::Identity;

use crate::DataPlane;
use crate::cluster::discovery::Options;
use crate::cluster::state::ClusterState;
use crate::controller::Observer;
use election::{Election, Term};
use events::EventSender;
use heartbeat::Heartbeat;
use leader::Leader;
use leases::Leases;
use links::Links;
use perform::PATIENCE;
use trouble::Troubles;
use work::Work;

/// A report counts for this many heartbeats.
const FRESH_BEATS: u32 = 3;
/// What is being written when this replica ends has so long to be there, and told.
const ENDING: Duration = Duration::from_secs(1);
/// Events that wait then have so long to be sent.
const TELLING: Duration = Duration::from_millis(500);

/// How often replicas report, and how the leader's Lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How often a replica reports, at least.
    pub heartbeat: Duration,
    /// The leader's Lease.
    pub lease: LeaseTimes,
}

/// This replica's part in leading.
pub struct Lead {
    links: Links,
    identity: Identity,
    times: Times,
    election: Election,
    sender: EventSender,
    work: Work,
}

impl Lead {
    /// The part of `identity` in a cluster where `options` say what is a version, and the way to ask for something.
    #[must_use]
    pub fn new(
        client: Client,
        options: Options,
        cluster: watch::Receiver<Arc<ClusterState>>,
        data_plane: Arc<dyn DataPlane>,
        observer: Arc<dyn Observer>,
        identity: Identity,
        times: Times,
    ) -> (Self, LeadHandle) {
        let troubles = Troubles::default();
        let (election, term) = Election::new(client.clone(), identity.clone(), times.lease, troubles.clone());
        let (events, sender) = events::channel(client.clone(), &identity, troubles.clone());
        // A term ends a third of the Lease's duration before another replica may lead.
        let patience = PATIENCE.min(times.lease.duration / 4);
        let options = Arc::new(options);
        let links =
            Links { client, options, cluster, term, data_plane, observer, events, troubles, patience };
        let work = Work::default();
        let handle = LeadHandle::new(links.clone(), work.clone());
        (Self { links, identity, times, election, sender, work }, handle)
    }

    /// Takes part until `stop` is done; what is being written then is finished and told, and a Lease that is held is
    /// given back.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { links, identity, times, mut election, sender, work } = self;
        let stop = stop.shared();
        let heartbeat = Heartbeat::new(
            links.client.clone(),
            identity.clone(),
            times.heartbeat,
            links.cluster.clone(),
            Arc::clone(&links.data_plane),
            links.troubles.clone(),
        );
        let works = async {
            reign(&links, &identity, times.heartbeat * FRESH_BEATS, stop.clone()).await;
            work.finish().await;
        };
        let (no_more, is_all) = oneshot::channel::<Infallible>();
        let telling = sender.run(is_all.map(drop)).fuse();
        tokio::pin!(telling);
        tokio::select! {
            () = Box::pin(works) => {}
            () = stop.clone().then(|()| sleep(ENDING)) => {}
            () = election.run() => {}
            () = heartbeat.run() => {}
            () = &mut telling => {}
        }
        drop(no_more);
        let _those_left_are_lost = timeout(TELLING, telling).await;
        election.release().await;
    }
}

/// Leads whenever it is this replica's term, until `stop` is done.
async fn reign(
    links: &Links,
    identity: &Identity,
    fresh_for: Duration,
    stop: impl Future<Output = ()> + Clone,
) {
    loop {
        let mut begin = links.term.clone();
        let leads = |term: &Option<Term>| term.is_some_and(|term| term.lasts(Instant::now()));
        tokio::select! {
            // Nothing is begun after that.
            biased;
            () = stop.clone() => return,
            begun = begin.wait_for(leads) => if begun.is_err() { return },
        }
        let (leases, fleet) = Leases::new(&links.client, identity, fresh_for);
        let leader = Leader::new(links.clone(), fleet);
        let over = stop_or_end(stop.clone(), links.term.clone()).shared();
        tokio::select! {
            () = leases.run() => {}
            () = Box::pin(leader.run(over)) => {}
        }
    }
}

async fn stop_or_end(stop: impl Future<Output = ()>, term: watch::Receiver<Option<Term>>) {
    tokio::select! {
        () = stop => {}
        () = end_of(term) => {}
    }
}

/// Waits until a term is over, also when nobody says so.
async fn end_of(mut term: watch::Receiver<Option<Term>>) {
    let mut since = None;
    loop {
        let Some(Term { since: begun, until, .. }) = *term.borrow_and_update() else { return };
        if *since.get_or_insert(begun) != begun {
            // Somebody else may have led in between.
            return;
        }
        tokio::select! {
            // Nobody may have looked for a while: a term that was renewed meanwhile goes on.
            biased;
            changed = term.changed() => if changed.is_err() { return },
            () = sleep_until(until) => return,
        }
    }
}

#[cfg(test)]
#[path = "reign_tests.rs"]
mod tests;
