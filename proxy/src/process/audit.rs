//! The audit's place in the process: opened before anything can be recorded, shipped from beside everything
//! else, and closed after the last record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::journal::Recovery;
use lockstep_queue::ship::Shipper;

use tokio_util::sync::CancellationToken;

use super::supervisor::Supervisor;
use super::{Shared, StartError};
use crate::ai::ledger::{Discard, Ledger};
use crate::audit::watch::Watch;
use crate::audit::{Audit, ship};
use crate::config::audit::model;
use crate::metrics::Metrics;
use crate::problems::Source;
use crate::tee::Tee;
use crate::tee::journal::{JournalSink, Writer};

/// How long the last records may take to where they go; what is left is shipped after the next start.
const LAST_SHIPMENT: Duration = Duration::from_secs(5);

/// Longer than the journal leaves anything unsynced (50 ms).
const SYNCED: Duration = Duration::from_millis(200);
/// How often it is looked for problems.
const REPORT: Duration = Duration::from_secs(1);

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
        let watch = Watch::new(audit.journal.clone(), shipper.clone(), config.disk.max);
        // It starts once.
        let _first = shared.audit.set(watch);
        let mut supervisor = Supervisor::new(Arc::clone(&shared.metrics));
        let stop = supervisor.stopping();
        supervisor.spawn_restarting("audit", {
            let (audit, stop) = (audit.clone(), stop.clone());
            move || audit.clone().upkeep(stop.clone())
        });
        supervisor.spawn_restarting("audit watch", {
            let (shared, stop) = (shared.clone(), stop.clone());
            move || report(shared.clone(), stop.clone())
        });
        let running = shipper.clone();
        supervisor.spawn_essential("shipper", stop.clone(), async move {
            if let Err(error) = running.run(stop.cancelled_owned()).await {
                tracing::error!(%error, "records are not shipped any more");
            }
        });
        Ok(Recording { audit, shipper, tee, supervisor })
    }
}

/// Keeps the list of problems as the audit sees it.
async fn report(shared: Shared, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(REPORT);
    let mut known = Vec::new();
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let problems = shared.audit.get().map(Watch::problems).unwrap_or_default();
        if problems != known {
            shared.problems.report(Source::Audit, problems.clone());
            known = problems;
        }
    }
}

impl Recording {
    /// Writes what is left, ships what can be shipped soon, and closes the journal.
    pub(super) async fn close(self) {
        self.tee.finish();
        // What nobody waited for is synced by then; the shipper sees only what is on disk.
        tokio::time::sleep(SYNCED).await;
        if let Err(error) = self.shipper.flush(LAST_SHIPMENT).await {
            tracing::warn!(%error, "records wait for the next start");
        }
        self.supervisor.finish().await;
        if let Err(error) = self.audit.journal.shutdown().await {
            tracing::error!(%error, "the audit journal did not close well");
        }
    }
}
