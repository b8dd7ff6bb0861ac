//! The audit's place in the process: opened before anything can be recorded, shipped from beside everything
//! else, and closed after the last record.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;

use super::supervisor::Supervisor;
use super::{Shared, StartError, watch};
use crate::ai::ledger::{Discard, Ledger};
use crate::audit::watch::Watch;
use crate::audit::{Audit, JOURNAL, ship};
use crate::config::audit::model;
use crate::metrics::Metrics;
use crate::tee::Tee;
use crate::tee::journal::{JournalSink, Writer};
use lockstep_queue::journal::Recovery;
use lockstep_queue::ship::{ShipError, Shipper};

/// How long the last records may take to where they go; what is left is shipped after the next start.
const LAST_SHIPMENT: Duration = Duration::from_secs(5);

/// The audit of a process, built and not started. Without one, nothing is recorded.
pub(super) struct Recorder {
    pub(super) tee: Tee,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) opened: Option<Opened>,
}

/// An open journal.
pub(super) struct Opened {
    pub(super) audit: Audit,
    recovery: Recovery,
    config: Arc<model::Audit>,
    data_dir: PathBuf,
    tee: Writer,
}

/// A running audit, to be closed last.
pub(super) struct Recording {
    audit: Audit,
    shipper: Shipper,
    tee: Writer,
    /// The shipper's, which outlives the data plane and so all other tasks.
    supervisor: Supervisor,
}

impl Recorder {
    /// Opens the audit, unless it is off.
    pub(super) fn open(
        config: &Arc<model::Audit>,
        data_dir: &Path,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let Some(durability) = config.durability else {
            let left = data_dir.join(JOURNAL);
            if left.is_dir() {
                tracing::warn!(
                    journal = %left.display(),
                    "audit.durability is off: what waits in the journal is not shipped; `lockstep audit ship` does it",
                );
            }
            let tee = Tee::new(None, Arc::clone(metrics));
            return Ok(Self { tee, ledger: Arc::new(Discard), opened: None });
        };
        let (audit, recovery) = Audit::open(config, durability, data_dir)?;
        let (sink, writer) =
            JournalSink::start(audit.journal.clone(), Arc::clone(&config.bodies), Arc::clone(metrics))?;
        Ok(Self {
            tee: Tee::new(Some(Arc::new(sink)), Arc::clone(metrics)),
            ledger: Arc::clone(&audit.ledger) as Arc<dyn Ledger>,
            opened: Some(Opened {
                audit,
                recovery,
                config: Arc::clone(config),
                data_dir: data_dir.to_owned(),
                tee: writer,
            }),
        })
    }
}

impl Opened {
    /// Starts upkeep and shipping.
    pub(super) async fn start(self, shared: &Shared) -> Result<Recording, StartError> {
        let Self { audit, recovery, config, data_dir, tee } = self;
        let journal = audit.journal.clone();
        let shipper = Box::pin(ship::shipper(&config, &data_dir, &audit.node, journal, &recovery)).await?;
        let watch = Watch::new(&audit, shipper.clone(), &config);
        // It starts once.
        let _first = shared.audit.set(watch);
        let mut supervisor = Supervisor::new(Arc::clone(&shared.metrics));
        let stop = supervisor.stopping();
        supervisor.spawn_restarting("audit", {
            let (audit, stop) = (audit.clone(), stop.clone());
            move || audit.clone().upkeep(stop.clone())
        });
        let (running, shared) = (shipper.clone(), shared.clone());
        supervisor.spawn_once("shipper", async move {
            let shipping = running.run(stop.cancelled_owned());
            watched(shipping, |why| {
                tracing::error!(why, "records are not shipped any more");
                if let Some(watch) = shared.audit.get() {
                    watch.stopped(why);
                }
                watch::look(&shared);
            })
            .await;
        });
        Ok(Recording { audit, shipper, tee, supervisor })
    }
}

impl Recording {
    /// Writes what is left, ships what can be shipped soon, and closes the journal.
    pub(super) async fn close(self) {
        self.tee.finish();
        // The shipper sees only what is on disk, and nobody waited for the last records.
        if let Err(error) = self.audit.journal.sync().await {
            tracing::error!(%error, "the last records may be lost");
        }
        if let Err(error) = self.shipper.flush(LAST_SHIPMENT).await {
            tracing::warn!(%error, "records wait for the next start");
        }
        self.supervisor.finish().await;
        if let Err(error) = self.audit.journal.shutdown().await {
            tracing::error!(%error, "the audit journal did not close well");
        }
    }
}

/// Ships, and tells at once why nothing is shipped any more, be it because of a panic.
async fn watched(shipping: impl Future<Output = Result<(), ShipError>>, ended: impl FnOnce(String)) {
    match AssertUnwindSafe(shipping).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => ended(error.to_string()),
        Err(panic) => {
            ended("the shipper panicked".to_owned());
            // The supervisor counts it.
            resume_unwind(panic);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;

    use super::*;

    #[tokio::test]
    async fn the_end_of_shipping_is_told_whatever_the_cause() {
        let told = async |shipping: BoxFuture<'static, Result<(), ShipError>>| {
            let mut told = None;
            let ended = AssertUnwindSafe(watched(shipping, |why| told = Some(why))).catch_unwind().await;
            (told, ended.is_err())
        };
        assert_eq!(told(async { Ok(()) }.boxed()).await, (None, false));
        let error = ShipError::Started;
        assert_eq!(told(async { Err(ShipError::Started) }.boxed()).await, (Some(error.to_string()), false));
        let (why, panicked) = told(async { panic!("on purpose") }.boxed()).await;
        assert!(panicked && why.is_some_and(|why| why.contains("panicked")));
    }
}
