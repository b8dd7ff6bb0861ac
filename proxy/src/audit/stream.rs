//! What a call delivers while it is delivered: gathered by reference, masked, and written to the journal at
//! least once a second or every 64 KiB, so that a crash takes no more than that along.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt as _;
use lockstep_queue::journal::{Append, Journal, JournalError, Outcome};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::body::{BodyRules, Capture};
use super::contents::{BegunHead, BodyHead, PART, PartHead, encode};
use super::redact::{BYTE_ORDER_MARK, StreamMask};

/// What may be gathered before it is written.
const MAX_GATHERED: usize = 64 * 1024;
/// How long it may be gathered; with the pace of [`Streams::sweep`], a second at most.
const MAX_AGE: Duration = Duration::from_millis(500);

/// How the lines of events begin.
const FIELDS: [&str; 5] = ["data:", "event:", "id:", "retry:", ":"];

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
    /// What is known since its first byte left, until it is written.
    begun: Option<BegunHead>,
    /// Set at the first bytes: whether they are kept at all.
    keeps: Option<bool>,
    /// Whether the first bytes were no text.
    binary: bool,
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
    /// Why the journal refused one, if it did. What it dropped is not refused.
    refused: Option<JournalError>,
}

/// What remains of a delivery at its end.
#[derive(Debug)]
pub struct Rest {
    /// What is known of all of it.
    pub head: BodyHead,
    /// What is kept and not written yet.
    pub bytes: Vec<Bytes>,
    /// Why the journal refused a part of it, if it did.
    pub refused: Option<JournalError>,
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
            begun: None,
            keeps: None,
            binary: false,
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
            refused: None,
        }
    }

    /// Takes what is known now that the first byte leaves. To be called before that is [taken](Self::push).
    pub fn begin(&mut self, begun: BegunHead) {
        self.begun = Some(begun);
    }

    /// What was known when the first byte left, unless it is written.
    pub fn take_begun(&mut self) -> Option<BegunHead> {
        self.begun.take()
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
        let keeps = self.keeps.unwrap_or_else(|| self.keeps(bytes));
        if self.keeps.replace(keeps).is_none() {
            self.binary = !is_text(bytes);
            // What can't be masked is not kept where masking is asked for.
            self.truncated = is_wanted(&self.rules, bytes) && !keeps;
        }
        if keeps {
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

    /// Writes what was delivered so far and is not written.
    pub fn flush(&mut self) {
        if self.unwritten > 0 {
            self.write();
        }
    }

    /// The writes whose outcome is to be [told](Self::wrote) before the end. No more are made: what was gathered
    /// since waits for the end.
    pub fn last_writes(&mut self) -> Vec<Append> {
        self.since = None;
        std::mem::take(&mut self.writes)
    }

    /// Takes the outcome of a write.
    pub fn wrote(&mut self, outcome: &Result<Outcome, JournalError>) {
        self.lost |= !matches!(outcome, Ok(Outcome::Stored(_)));
        if let Err(error) = outcome {
            self.refused.get_or_insert_with(|| error.clone());
        }
    }

    /// Ends the delivery. It is binary if it began so, or if it `is_said` to be.
    pub fn finish(&mut self, is_said: bool) -> Rest {
        self.settle();
        if let Some(mut mask) = self.mask.take() {
            self.gather(&mask.finish());
        }
        self.since = None;
        let head = BodyHead {
            bytes: self.delivered,
            sha256: (self.delivered > 0).then(|| hex::encode(std::mem::take(&mut self.digest).finalize())),
            truncated: self.truncated || self.lost,
            binary: self.kept > 0 && (self.binary || is_said),
        };
        Rest { head, bytes: std::mem::take(&mut self.gathered), refused: self.refused.take() }
    }

    /// Whether what begins like this is kept: where masking is asked for, only if it says that it is a stream of events,
    /// and looks like one.
    fn keeps(&self, first: &[u8]) -> bool {
        let says_so = self.begun.as_ref().is_none_or(|begun| begun.streamed);
        is_wanted(&self.rules, first) && (self.rules.redact.is_empty() || (says_so && is_events(first)))
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
        let head = PartHead { bytes: std::mem::take(&mut self.unwritten), begun: self.begun.take() };
        match encode(&head, &self.gathered) {
            Ok(contents) => self.writes.push(self.journal.append_unsynced(PART, self.group, contents)),
            Err(error) => tracing::error!(%error, "a part of a stream can't be written"),
        }
        self.gathered.clear();
    }

    /// Forgets the writes that are done, so that a long stream does not pile them up.
    fn settle(&mut self) {
        for mut write in std::mem::take(&mut self.writes) {
            match (&mut write).now_or_never() {
                None => self.writes.push(write),
                Some(outcome) => self.wrote(&outcome),
            }
        }
    }
}

/// Whether what begins like this is to be kept, as far as it is known how to mask it.
fn is_wanted(rules: &BodyRules, first: &[u8]) -> bool {
    rules.capture == Capture::Full && (rules.binary || is_text(first))
}

/// Whether bytes begin like a stream of events, as far as they go. It may begin with a mark and empty lines.
pub(crate) fn is_events(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let begin = bytes.get(empty..).unwrap_or_default();
    FIELDS.iter().any(|field| begin.starts_with(field.as_bytes()) || field.as_bytes().starts_with(begin))
}

/// Whether bytes are text, the last character of which may be cut.
pub(crate) fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0)
        && std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

#[cfg(test)]
mod tests {
    use lockstep_queue::journal::Options;
    use regex::Regex;

    use super::*;
    use crate::audit::redact::Redactor;

    #[tokio::test]
    async fn what_is_not_kept_for_it_can_not_be_masked_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(Options::new(dir.path())).unwrap();
        let masking = Redactor::new(Vec::new(), vec![Regex::new("secret").unwrap()]);
        let image: &[u8] = b"\x89PNG\x00";
        for (first, redact, capture, binary, truncated) in [
            (&b"{\"data\":[]}"[..], &masking, Capture::Full, false, true),
            (b"{\"data\":[]}", &masking, Capture::Metadata, false, false),
            (b"{\"data\":[]}", &Redactor::default(), Capture::Full, false, false),
            (b"data: {}\n\n", &masking, Capture::Full, false, false),
            (b"\xef\xbb\xbf\r\n\ndata: {}\n\n", &masking, Capture::Full, false, false),
            (b"\n", &masking, Capture::Full, false, false),
            (b"\nno: {}", &masking, Capture::Full, false, true),
            (image, &masking, Capture::Full, false, false),
            (image, &masking, Capture::Full, true, true),
        ] {
            let rules = BodyRules { capture, max: 1 << 20, binary, redact: redact.clone() };
            let mut delivery = Delivery::new(journal.clone(), 1, Arc::new(rules));
            delivery.push(&Bytes::copy_from_slice(first));
            assert_eq!(delivery.finish(false).head.truncated, truncated, "{first:?} {capture:?} {binary}");
        }
    }

    #[tokio::test]
    async fn what_began_as_binary_or_is_said_to_be_is_binary() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(Options::new(dir.path())).unwrap();
        let image: &[u8] = b"\x89PNG\x00";
        for (first, is_said, keeps_binary, expected) in [
            (image, false, true, true),
            (b"%PDF", true, true, true),
            (b"text", false, true, false),
            (image, true, false, false),
        ] {
            let rules = BodyRules { max: 1 << 20, binary: keeps_binary, ..BodyRules::default() };
            let mut delivery = Delivery::new(journal.clone(), 1, Arc::new(rules));
            delivery.push(&Bytes::copy_from_slice(first));
            // Written, so that only the text after it is left at the end.
            delivery.push(&Bytes::from(vec![b'x'; MAX_GATHERED]));
            delivery.push(&Bytes::from_static(b"and text"));
            assert_eq!(delivery.finish(is_said).head.binary, expected, "{first:?} {is_said} {keeps_binary}");
        }
    }
}
