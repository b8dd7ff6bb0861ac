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
mod world;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

pub use election::LeaseTimes;
pub use handle::LeadHandle;
pub use identity::Identity;

use crate::DataPlane;
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

/// A report counts for this many heartbeats.
const FRESH_BEATS: u32 = 3;

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
}

impl Lead {
    /// The part of `identity`, and the way to ask for something.
    #[must_use]
    pub fn new(
        client: Client,
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
        let links = Links { client, cluster, term, data_plane, observer, events, troubles, patience };
        let handle = LeadHandle::new(links.clone());
        (Self { links, identity, times, election, sender }, handle)
    }

    /// Takes part until `stop` is done; a Lease that is held then is given back.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { links, identity, times, mut election, sender } = self;
        let heartbeat = Heartbeat::new(
            links.client.clone(),
            identity.clone(),
            times.heartbeat,
            links.cluster.clone(),
            Arc::clone(&links.data_plane),
            links.troubles.clone(),
        );
        let reigns = async {
            loop {
                let mut begin = links.term.clone();
                let leads = |term: &Option<Term>| term.is_some_and(|term| term.lasts(Instant::now()));
                if begin.wait_for(leads).await.is_err() {
                    return;
                }
                let (leases, fleet) = Leases::new(&links.client, &identity, times.heartbeat * FRESH_BEATS);
                let leader = Leader::new(links.clone(), fleet);
                tokio::select! {
                    () = end_of(links.term.clone()) => {}
                    () = leases.run() => {}
                    () = Box::pin(leader.run()) => {}
                }
            }
        };
        tokio::select! {
            () = stop => {}
            () = election.run() => {}
            () = heartbeat.run() => {}
            () = Box::pin(reigns) => {}
            () = sender.run() => {}
        }
        election.release().await;
    }
}

/// Waits until a term is over, also when nobody says so.
async fn end_of(mut term: watch::Receiver<Option<Term>>) {
    loop {
        let Some(until) = term.borrow_and_update().map(|term| term.until) else { return };
        tokio::select! {
            changed = term.changed() => if changed.is_err() { return },
            () = sleep_until(until) => return,
        }
    }
}
