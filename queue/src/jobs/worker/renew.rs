//! Renews the leases of a worker: all of them in one call. Where it can't, and a lease has surely expired, the
//! lease counts as lost, and the handler of its job is ended: others may have the job.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Settings;
use super::lease::{Lease, Leases};
use crate::jobs::name::QueueName;
use crate::jobs::storage::{Extended, Storage};

/// Looks at the leases this often within a heartbeat, so that lost ones are noticed soon and failed renewals
/// repeated.
const LOOKS: u32 = 4;

/// Renews leases until it is told to stop.
pub(super) struct Renewal {
    queue: QueueName,
    storage: Arc<dyn Storage>,
    leases: Arc<Leases>,
    lease: Duration,
    heartbeat: Duration,
}

impl Renewal {
    pub(super) fn new(
        queue: &QueueName,
        storage: &Arc<dyn Storage>,
        leases: &Arc<Leases>,
        settings: &Settings,
    ) -> Self {
        Self {
            queue: queue.clone(),
            storage: Arc::clone(storage),
            leases: Arc::clone(leases),
            lease: settings.lease,
            heartbeat: settings.heartbeat,
        }
    }

    pub(super) async fn run(self, stop: CancellationToken) {
        let look = self.heartbeat / LOOKS;
        let mut looks = interval_at(Instant::now() + look, look.max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewed_at = Instant::now();
        let beats = async {
            loop {
                looks.tick().await;
                if renewed_at.elapsed() >= self.heartbeat {
                    let began = Instant::now();
                    if self.renew().await {
                        renewed_at = began;
                    }
                }
                self.lose_expired();
            }
        };
        // Nothing is under way that must come to its end.
        stop.run_until_cancelled(beats).await;
    }

    /// Renews all leases; `false` if the storage could not be asked.
    async fn renew(&self) -> bool {
        let leases = self.leases.held();
        if leases.is_empty() {
            return true;
        }
        let proofs = leases.iter().map(|lease| lease.proof()).collect();
        match timeout(self.heartbeat, self.storage.extend(&self.queue, proofs, self.lease)).await {
            Ok(Ok(extended)) => {
                let until = Instant::now() + self.lease;
                leases.iter().zip(extended).for_each(|(lease, extended)| apply(lease, extended, until));
                true
            }
            Ok(Err(error)) => {
                warn!(queue = %self.queue, %error, "leases could not be renewed; trying again");
                false
            }
            Err(_) => {
                warn!(queue = %self.queue, "the storage takes too long to renew leases; trying again");
                false
            }
        }
    }

    fn lose_expired(&self) {
        for lease in self.leases.held() {
            if lease.has_expired() {
                lease.lose();
            }
        }
    }
}

fn apply(lease: &Lease, extended: Extended, until: Instant) {
    match extended {
        Extended::Held => lease.extend(until),
        Extended::CancelWanted => {
            lease.extend(until);
            lease.want_end();
        }
        Extended::Lost => lease.lose(),
    }
}
