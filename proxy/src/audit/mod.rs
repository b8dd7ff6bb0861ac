//! The audit: what happened, written to the journal before anybody acts on it, and shipped from there.
//!
//! Calls of the AI gateway come by its [`Ledger`](crate::ai::ledger::Ledger), requests of apps by the tee,
//! transitions of versions by the controller. All become frames of one journal; the shipper makes lines of
//! them, in batches, and takes them to a directory or to S3. Nothing leaves the journal before the sink
//! confirmed it.

pub mod body;
pub mod contents;
pub mod headers;
pub mod json_body;
pub mod late;
pub mod ledger;
pub mod lines;
pub mod message;
mod open;
pub mod record;
pub mod redact;
pub mod refusals;
#[cfg(test)]
pub(crate) mod schema;
pub mod ship;
pub mod stream;
pub mod watch;

pub use ledger::{Durability, JournalLedger};
pub(crate) use open::JOURNAL;
pub use open::{Audit, AuditError};
