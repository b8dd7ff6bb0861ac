//! The audit's place in the process: opened before anything can be recorded, shipped from beside everything
//! else, and closed after the last record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::supervisor::Supervisor;
use super::{Shared, StartError};
use crate::ai::ledger::{Discard, Ledger};
use crate::audit::watch::Watch;
use crate::audit::{Audit, JOURNAL, ship};
use crate::config::audit::model;
use crate::metrics::Metrics;
use crate::tee::Tee;
use crate::tee::journal::{JournalSink, Writer};
use lockstep_queue::journal::Recovery;
use lockstep_queue::ship::Shipper;

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
        let watch =
            Watch::new(audit.journal.clone(), shipper.clone(), config.disk.max, Arc::clone(&audit.node));
        // It starts once.
        let _first = shared.audit.set(watch);
        let mut supervisor = Supervisor::new(Arc::clone(&shared.metrics));
        let stop = supervisor.stopping();
        supervisor.spawn_restarting("audit", {
            let (audit, stop) = (audit.clone(), stop.clone());
            move || audit.clone().upkeep(stop.clone())
        });
        let (running, ended) = (shipper.clone(), shared.clone());
        supervisor.spawn_essential("shipper", stop.clone(), async move {
            if let Err(error) = running.run(stop.cancelled_owned()).await {
                tracing::error!(%error, "records are not shipped any more");
                if let Some(watch) = ended.audit.get() {
                    watch.stopped(&error);
                }
            }
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
