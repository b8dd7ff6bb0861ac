//! Opens the audit: the journal, what a crash left open in it, and everything that writes into it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lockstep_controller::AppId;
use lockstep_controller::record::Transition;
use lockstep_queue::journal::{Journal, JournalError, OpenError, Options, Recovery};
use serde_json::json;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::contents::{END, EndHead, Malformed, WHOLE, encode, whole};
use super::late::{Ending, LateEnds};
use super::ledger::JournalLedger;
use super::refusals::{Refusals, SUMMED_UP_EVERY};
use super::stream::Streams;
use crate::config::audit::model;

/// How often streams are looked at.
const SWEEP: Duration = Duration::from_millis(500);
/// The directory of the journal in the data directory.
pub(crate) const JOURNAL: &str = "journal";

/// An open audit. Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    /// The journal.
    pub journal: Journal,
    /// Who writes records: the configured name and a suffix that is new with each journal.
    pub node: Arc<str>,
    /// Where calls of the gateway leave their records.
    pub ledger: Arc<JournalLedger>,
    /// Ends that the journal has not taken yet.
    pub late: Arc<LateEnds>,
    pub(super) streams: Arc<Streams>,
    pub(super) refusals: Arc<Refusals>,
}

/// Why the audit can't be opened.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The journal can't be opened.
    #[error("the audit journal can't be opened: {0}")]
    Open(#[from] OpenError),
    /// The ends of calls that a crash interrupted can't be written.
    #[error("the audit journal takes no ends of interrupted calls: {0}")]
    Recover(#[from] JournalError),
    /// They can't be encoded.
    #[error(transparent)]
    Encode(#[from] Malformed),
}

impl Audit {
    /// Opens the journal in a data directory and ends what a crash left open. Waits for the disk, so not on
    /// a thread of an async runtime.
    ///
    /// # Errors
    /// If the journal can't be opened or written.
    pub fn open(
        config: &model::Audit,
        durability: super::Durability,
        data_dir: &Path,
    ) -> Result<(Self, Recovery), AuditError> {
        let max = config.disk.max;
        let options = Options::new(data_dir.join(JOURNAL))
            .segment_bytes(segment_bytes(max))
            .max_bytes(max)
            .when_full(config.disk.when_full);
        let (journal, recovery) = Journal::open(options)?;
        let audit = Self::on(journal, config, durability);
        audit.end_interrupted(&recovery)?;
        Ok((audit, recovery))
    }

    /// An audit on an open journal.
    pub(super) fn on(journal: Journal, config: &model::Audit, durability: super::Durability) -> Self {
        let (streams, refusals) = (Arc::<Streams>::default(), Arc::<Refusals>::default());
        let late = Arc::new(LateEnds::new(journal.clone()));
        let ledger = JournalLedger::new(
            journal.clone(),
            durability,
            Arc::clone(&config.bodies),
            Arc::clone(&streams),
            Arc::clone(&refusals),
            Arc::clone(&late),
        );
        let node = node_name(config.node.as_str(), journal.id()).into();
        Self { journal, node, ledger: Arc::new(ledger), late, streams, refusals }
    }

    /// Calls without an end were interrupted. Whoever ships them finds what they delivered in their parts. For
    /// those for which there is no room, it is made by shipping.
    pub(super) fn end_interrupted(&self, recovery: &Recovery) -> Result<(), AuditError> {
        let contents = encode(&EndHead::interrupted(), &[])?;
        let end = |group| {
            let append = self.journal.append(END, group, contents.clone());
            self.late.follow(group, append, EndHead::interrupted())
        };
        let ends: Vec<_> = recovery.open_groups.iter().map(|open| end(open.group)).collect();
        if !ends.is_empty() {
            tracing::warn!(
                calls = ends.len(),
                "calls that the last run did not end are recorded as interrupted"
            );
        }
        Ok(ends.into_iter().try_for_each(Ending::wait)?)
    }

    /// Writes what streams delivered and ends that were refused twice a second, and sums refusals up once a
    /// minute, until told to stop.
    pub async fn upkeep(self, stop: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP);
        let mut sum = tokio::time::interval(SUMMED_UP_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = sweep.tick() => {
                    self.streams.sweep();
                    self.late.write().await;
                }
                _ = sum.tick() => self.sum_up(),
            }
        }
        self.late.write().await;
        self.sum_up();
    }

    fn sum_up(&self) {
        if let Some(record) = self.refusals.sum_up() {
            self.note(&record);
        }
    }

    /// Records a change of a version's state. Waits for nothing.
    pub fn transitioned(&self, app: &AppId, transition: &Transition) {
        let record = json!({
            "id": Ulid::generate().to_string(),
            "type": "version",
            "started_at": transition.at,
            "outcome": "complete",
            "route": {"app": app.to_string(), "version": transition.version, "reason": transition.reason},
            "transition": {"from": transition.from, "to": transition.to, "actor": transition.actor},
        });
        self.note(&record);
    }

    /// Writes a record that nobody waits for.
    fn note(&self, record: &serde_json::Value) {
        match whole(record.to_string()) {
            Ok(contents) => drop(self.journal.append_unsynced(WHOLE, 0, contents)),
            Err(error) => tracing::error!(%error, "a record can't be written"),
        }
    }
}

/// The size of a journal's segments. Three of them are not for new calls, so that small journals have small ones.
fn segment_bytes(max: u64) -> u32 {
    u32::try_from(max / 32).unwrap_or(u32::MAX).clamp(1 << 20, 16 << 20)
}

/// The name under which a journal's records are known: a new disk under an old name never meets the
/// objects of the old one.
fn node_name(configured: &str, journal: u64) -> String {
    format!("{configured}-{:08x}", journal & 0xffff_ffff)
}

#[cfg(test)]
pub(super) mod tests;
