//! Takes what is in a [journal](crate::journal) to a directory or to S3, in batches, each exactly once.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use lockstep_queue::journal::{self, Frame, Gap, Journal, Kind, Stamp};
//! use lockstep_queue::ship::{Assemble, DirSink, Group, Options, Shipper, verify};
//!
//! /// Frames hold one member of a JSON object each.
//! struct Members;
//!
//! impl Assemble for Members {
//!     fn group(&self, stamp: Stamp, group: &Group) -> Vec<u8> {
//!         let members: Vec<_> = group.frames.iter().map(|frame| frame.body.clone()).collect();
//!         [&b"{"[..], &members.join(&b","[..]), format!(r#","seq":{}}}"#, stamp.seq).as_bytes()].concat()
//!     }
//!     fn single(&self, stamp: Stamp, frame: &Frame) -> Vec<u8> {
//!         self.group(stamp, &Group { frames: vec![frame.clone()], lost: 0 })
//!     }
//!     fn gap(&self, stamp: Stamp, gap: &Gap) -> Vec<u8> {
//!         format!(r#"{{"gap":"{:?}","seq":{}}}"#, gap.cause, stamp.seq).into_bytes()
//!     }
//! }
//!
//! let (journal, recovery) = Journal::open(journal::Options::new(dir.path().join("journal")))?;
//! let sink = Arc::new(DirSink::new(dir.path().join("out")));
//! let options = Options::new("edge-1")?.prefix("audit/")?;
//! let shipper =
//!     Shipper::new(journal.clone(), &recovery, Arc::new(Members), sink.clone(), None, &options)?;
//!
//! let use_it = async {
//!     journal.append(Kind::begin::<0>(), 7, r#""question":"6 * 7""#).await?;
//!     journal.append(Kind::end::<0>(), 7, r#""answer":42"#).await?;
//!     shipper.flush(Duration::from_secs(10)).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! };
//! // The shipper is run by whoever supervises the process's tasks; here it ends with the other future.
//! tokio::select! {
//!     result = use_it => result?,
//!     result = shipper.run(std::future::pending()) => result?,
//! }
//! journal.shutdown().await?;
//!
//! let mut verifier = verify::Verifier::new(&*sink, "audit/", None);
//! while let Some(checked) = verifier.next().await? {
//!     assert!(checked.key.ends_with("edge-1-00000000000000000000-00000000000000000000.jsonl.gz"));
//!     assert!(checked.findings.is_empty());
//! }
//! assert_eq!(verifier.summary().lines, 1);
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # From frames to objects
//!
//! A group that has ended, a frame that stands alone and a gap are a record each. An [`Assemble`] makes
//! a line of it. Lines are numbered, and each holds as `"prev"` the SHA-256 of the line before it without
//! the line break ([`Hash::NONE`] in the first one of all). A batch is complete when it has enough
//! records or bytes, is old enough, or the hour of its records is over. It becomes one object whose name
//! says which records are in it ([`ObjectName`]), and, with a [`Sign`], gets a signature.
//!
//! Frames of groups that are open are kept in memory up to a limit and read again beyond it.
//!
//! # Exactly once
//!
//! Before a batch is shipped, the journal keeps what it is: its range, key, compression, hash, and the
//! hash of its last line. After a crash the same batch is made again, and goes to the same key, where
//! the sink finds that it is there. Only when the sink has confirmed a batch and all before it, they are
//! acknowledged; the number and the hash that the next line goes on from are kept with the
//! acknowledgement and outlive the segments. No object ever overwrites another: a key that is taken is
//! reported and counted, and the batch goes beside it.
//!
//! Uploads that fail are tried again for ever. Several are under way at a time; as long as the first of
//! them does not get through, the journal keeps it and all after it.

mod assemble;
mod build;
mod chain;
mod collect;
mod dir;
mod encoding;
mod engine;
mod groups;
mod gzip;
mod hash;
mod key;
mod options;
#[cfg(feature = "s3")]
pub mod s3;
mod seal;
mod shipper;
mod sign;
mod sink;
mod source;
mod stats;
mod tail;
#[cfg(test)]
mod tests;
mod upload;
pub mod verify;

pub use assemble::{Assemble, Group};
pub use dir::DirSink;
pub use encoding::Compression;
pub use hash::Hash;
pub use key::{NameError, ObjectName, check_prefix};
pub use options::Options;
pub use shipper::{FlushError, ShipError, Shipper};
pub use sign::{CheckSignature, Sign, Signature, Statement};
#[cfg(feature = "sign")]
pub use sign::{Ed25519Signer, Ed25519Verifier, KeyError};
pub use sink::{Cause, Object, Put, PutError, Sink};
pub use stats::Stats;
pub use tail::Tail;
