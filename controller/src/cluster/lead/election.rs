//! Who leads: whoever holds the Lease `lockstep-leader`. It is taken and renewed by writes that carry
//! the resourceVersion they were decided on, so that of two who want it one gets it. Time is that of
//! the local monotonic clock: a Lease is over when it was not seen to change for as long as it says,
//! and a holder steps down well before, counted from the start of its last write that succeeded.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::identity::{Identity, LEADER_LEASE};
use super::trouble::{Part, Troubles, why};

/// How often and for how long the leader's Lease is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long others wait for a leader that is silent.
    pub duration: Duration,
    /// How often it is renewed, and looked at by those who wait.
    pub renew: Duration,
}

/// A time of leading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// When it began.
    pub since: Instant,
    /// Until when nobody else can lead.
    pub until: Instant,
}

/// Takes part in the election.
pub struct Election {
    leases: Api<Lease>,
    identity: Identity,
    times: LeaseTimes,
    seen: Option<Seen>,
    term: watch::Sender<Option<Term>>,
    troubles: Troubles,
}

/// How somebody else's Lease was seen last.
struct Seen {
    revision: String,
    at: Instant,
}

/// What to do about a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Renew,
    Take,
    Wait,
}

impl Term {
    /// Whether it still lasts.
    #[must_use]
    pub fn lasts(&self, now: Instant) -> bool {
        now < self.until
    }
}

impl Election {
    /// One who takes part.
    #[must_use]
    pub(super) fn new(
        client: Client,
        identity: Identity,
        times: LeaseTimes,
        troubles: Troubles,
    ) -> (Self, watch::Receiver<Option<Term>>) {
        let (term, receiver) = watch::channel(None);
        let leases = Api::namespaced(client, &identity.namespace);
        (Self { leases, identity, times, seen: None, term, troubles }, receiver)
    }

    /// Takes part until it is dropped.
    pub async fn run(&mut self) {
        loop {
            let started = Instant::now();
            let held = timeout(self.times.renew, self.round(started)).await;
            match held {
                Ok(Ok(held)) => {
                    self.troubles.over(&Part::Election);
                    self.publish(held.then_some(started));
                }
                Ok(Err(error)) => {
                    self.failed(&why(&error));
                    self.lapse();
                }
                Err(_) => {
                    self.failed("the API does not answer");
                    self.lapse();
                }
            }
            sleep(self.pause(started)).await;
        }
    }

    fn failed(&self, why: &str) {
        tracing::warn!(why, "the leader's lease can't be read or written");
        self.troubles.met(Part::Election, format!("the leader's lease can't be read or written: {why}"));
    }

    /// Gives the Lease back, so that the next leader need not wait.
    pub async fn release(&mut self) {
        if self.term.borrow().is_none() {
            return;
        }
        self.term.send_replace(None);
        let given_back = async {
            let mut lease = self.leases.get(LEADER_LEASE).await?;
            if holder(&lease) == Some(self.identity.holder().as_str()) {
                let spec = lease.spec.get_or_insert_default();
                spec.holder_identity = None;
                spec.renew_time = Some(MicroTime(k8s_openapi::jiff::Timestamp::now()));
                self.leases.replace(LEADER_LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        // Whoever leads next waits for as long as the Lease lasts, if this fails.
        if let Ok(Err(error)) = timeout(self.times.renew, given_back).await {
            tracing::info!(%error, "the leader's lease was not given back");
        }
    }

    /// One look at the Lease, and what follows from it. Says whether this replica holds it.
    async fn round(&mut self, now: Instant) -> Result<bool, kube::Error> {
        let Some(mut lease) = self.leases.get_opt(LEADER_LEASE).await? else {
            return self.won(self.leases.create(&PostParams::default(), &self.first()).await);
        };
        match self.judge(&lease, now) {
            Move::Wait => return Ok(false),
            Move::Renew => {}
            Move::Take => {
                let spec = lease.spec.get_or_insert_default();
                spec.holder_identity = Some(self.identity.holder());
                spec.acquire_time = Some(MicroTime(k8s_openapi::jiff::Timestamp::now()));
                spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            }
        }
        let seconds = self.seconds();
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(k8s_openapi::jiff::Timestamp::now()));
        spec.lease_duration_seconds = Some(seconds);
        self.won(self.leases.replace(LEADER_LEASE, &PostParams::default(), &lease).await)
    }

    /// A conflict means that somebody else was quicker.
    fn won(&self, written: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn judge(&mut self, lease: &Lease, now: Instant) -> Move {
        let Some(holder) = holder(lease).filter(|holder| !holder.is_empty()) else { return Move::Take };
        if holder == self.identity.holder() {
            return Move::Renew;
        }
        let revision = lease.metadata.resource_version.clone().unwrap_or_default();
        let seen = self.seen.get_or_insert_with(|| Seen { revision: revision.clone(), at: now });
        if seen.revision != revision {
            *seen = Seen { revision, at: now };
        }
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let lasts = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let over =
            now.duration_since(seen.at) > lasts.unwrap_or(self.times.duration).max(self.times.duration);
        if over { Move::Take } else { Move::Wait }
    }

    fn first(&self) -> Lease {
        let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
        Lease {
            metadata: ObjectMeta { name: Some(LEADER_LEASE.to_owned()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.holder()),
                lease_duration_seconds: Some(self.seconds()),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }

    fn seconds(&self) -> i32 {
        // Rounded up: others wait for at least as long as we count on.
        i32::try_from(self.times.duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
    }

    /// Leads from a write on that began at `started`, for two thirds of the Lease.
    fn publish(&self, started: Option<Instant>) {
        let until = started.map(|started| started + self.times.duration * 2 / 3);
        let now = Instant::now();
        self.term.send_if_modified(|term| {
            let before = term.filter(|term| term.lasts(now));
            *term = until.filter(|until| now < *until).map(|until| {
                let since = before.map_or(now, |term| term.since);
                Term { since, until }
            });
            match (before.is_some(), term.is_some()) {
                (false, true) => tracing::info!(replica = self.identity.name, "leads"),
                (true, false) => tracing::info!(replica = self.identity.name, "leads no more"),
                _ => {}
            }
            true
        });
    }

    /// Ends a term that is over, after a write that did not succeed.
    fn lapse(&self) {
        let now = Instant::now();
        self.term.send_if_modified(|term| {
            let over = term.is_some_and(|term| !term.lasts(now));
            if over {
                tracing::warn!(replica = self.identity.name, "leads no more: the lease could not be renewed");
                *term = None;
            }
            over
        });
    }

    /// Until the next look: sooner while a term is at stake.
    fn pause(&self, started: Instant) -> Duration {
        let at_stake = self.term.borrow().is_some_and(|term| term.until < started + self.times.renew * 2);
        let pause = if at_stake { self.times.renew / 5 } else { self.times.renew };
        pause.saturating_sub(started.elapsed()).max(Duration::from_millis(50))
    }
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

#[cfg(test)]
#[path = "election_tests.rs"]
mod tests;
