//! What a call delivers while it is delivered: gathered by reference, masked, and written to the journal at
//! least once a second or every 64 KiB, so that a crash takes no more than that along.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt as _;
use lockstep_queue::journal::{Append, Journal, Outcome};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::body::{BodyRules, Capture};
use super::contents::{BodyHead, PART, PartHead, encode};
use super::redact::StreamMask;

/// What may be gathered before it is written.
const MAX_GATHERED: usize = 64 * 1024;
/// How long it may be gathered; with the pace of [`Streams::sweep`], a second at most.
const MAX_AGE: Duration = Duration::from_millis(500);

/// The streams under way.
#[derive(Debug, Default)]
pub struct Streams {
    open: Mutex<Vec<Weak<Mutex<Delivery>>>>,
}

/// What one call delivers.
#[derive(Debug)]
pub struct Delivery {
    journal: Journal,
    group: u64,
    /// Set at the first bytes: whether they are kept at all.
    keeps: Option<bool>,
    rules: Arc<BodyRules>,
    mask: Option<StreamMask>,
    digest: Sha256,
    /// Bytes delivered so far.
    delivered: u64,
    /// Bytes kept so far.
    kept: usize,
    truncated: bool,
    gathered: Vec<Bytes>,
    /// Bytes delivered since the last write.
    unwritten: u64,
    /// Those of them that are kept, before they are masked and cut.
    unwritten_kept: usize,
    since: Option<Instant>,
    /// Writes whose outcome is not known yet.
    writes: Vec<Append>,
    /// Whether one failed: some of what is delivered is not in the journal.
    lost: bool,
}

/// What remains of a delivery at its end.
#[derive(Debug)]
pub struct Rest {
    /// What is known of all of it.
    pub head: BodyHead,
    /// What is kept and not written yet.
    pub bytes: Vec<Bytes>,
    /// Writes whose outcome was not looked at.
    pub writes: Vec<Append>,
}

impl Streams {
    /// Has a delivery written now and then from now on.
    pub fn follow(&self, delivery: &Arc<Mutex<Delivery>>) {
        self.open.lock().push(Arc::downgrade(delivery));
    }

    /// Writes what was gathered for too long. To be called twice a second.
    pub fn sweep(&self) {
        let now = Instant::now();
        let open = {
            let mut open = self.open.lock();
            open.retain(|delivery| delivery.strong_count() > 0);
            open.clone()
        };
        for delivery in open.iter().filter_map(Weak::upgrade) {
            let mut delivery = delivery.lock();
            if delivery.since.is_some_and(|since| now.duration_since(since) >= MAX_AGE) {
                delivery.write();
            }
        }
    }
}

impl Delivery {
    /// A delivery that has not begun.
    #[must_use]
    pub fn new(journal: Journal, group: u64, rules: Arc<BodyRules>) -> Self {
        Self {
            journal,
            group,
            keeps: None,
            mask: None,
            rules,
            digest: Sha256::new(),
            delivered: 0,
            kept: 0,
            truncated: false,
            gathered: Vec::new(),
            unwritten: 0,
            unwritten_kept: 0,
            since: None,
            writes: Vec::new(),
            lost: false,
        }
    }

    /// Takes what was just delivered.
    pub fn push(&mut self, bytes: &Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.delivered += bytes.len() as u64;
        self.unwritten += bytes.len() as u64;
        self.digest.update(bytes);
        self.since.get_or_insert_with(Instant::now);
        if *self.keeps.get_or_insert_with(|| keeps(&self.rules, bytes)) {
            if self.mask.is_none() && !self.rules.redact.is_empty() {
                self.mask = Some(StreamMask::new(self.rules.redact.clone()));
            }
            match &mut self.mask {
                Some(mask) => mask.push(bytes),
                None => self.gather(bytes),
            }
            self.unwritten_kept += bytes.len();
        }
        if self.unwritten_kept >= MAX_GATHERED {
            self.write();
        }
    }

    /// Ends the delivery.
    pub fn finish(&mut self) -> Rest {
        if let Some(mut mask) = self.mask.take() {
            self.gather(&mask.finish());
        }
        self.since = None;
        let head = BodyHead {
            bytes: self.delivered,
            sha256: (self.delivered > 0).then(|| hex::encode(std::mem::take(&mut self.digest).finalize())),
            truncated: self.truncated || self.lost,
            binary: self.rules.binary
                && self.keeps == Some(true)
                && self.gathered.iter().any(|part| !is_text(part)),
        };
        Rest { head, bytes: std::mem::take(&mut self.gathered), writes: std::mem::take(&mut self.writes) }
    }

    fn gather(&mut self, shown: &Bytes) {
        let room = self.rules.max.saturating_sub(self.kept);
        let kept = shown.slice(..shown.len().min(room));
        self.truncated |= kept.len() < shown.len();
        self.kept += kept.len();
        if !kept.is_empty() {
            self.gathered.push(kept);
        }
    }

    fn write(&mut self) {
        self.since = None;
        self.settle();
        self.unwritten_kept = 0;
        if let Some(masked) = self.mask.as_mut().map(StreamMask::release) {
            self.gather(&masked);
        }
        let head = PartHead { bytes: std::mem::take(&mut self.unwritten) };
        let parts: Vec<&[u8]> = self.gathered.iter().map(AsRef::as_ref).collect();
        match encode(&head, &parts) {
            Ok(contents) => self.writes.push(self.journal.append_unsynced(PART, self.group, contents)),
            Err(error) => tracing::error!(%error, "a part of a stream can't be written"),
        }
        self.gathered.clear();
    }

    /// Forgets the writes that are done, so that a long stream does not pile them up.
    fn settle(&mut self) {
        let Self { writes, lost, .. } = self;
        writes.retain_mut(|write| match write.now_or_never() {
            None => true,
            Some(outcome) => {
                *lost |= !matches!(outcome, Ok(Outcome::Stored(_)));
                false
            }
        });
    }
}

/// Whether what begins like this is kept.
fn keeps(rules: &BodyRules, first: &[u8]) -> bool {
    let masked = !rules.redact.is_empty();
    // What can't be masked is not kept where masking is asked for.
    rules.capture == Capture::Full && if masked { is_events(first) } else { rules.binary || is_text(first) }
}

/// Whether bytes begin like a stream of events.
fn is_events(bytes: &[u8]) -> bool {
    [&b"data:"[..], b"event:", b"id:", b"retry:", b":"].iter().any(|field| bytes.starts_with(field))
}

/// Whether bytes are text, the last character of which may be cut.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0)
        && std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}
