//! What becomes of each event of a stream: passed on as it came, left out, or held back because it
//! is the end, which the client must not see before the record is safe.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::opening::Opened;
use super::usage::{self, Shown};
use crate::ai::json;
use crate::ai::ledger::Change;
use crate::ai::reading::{Assembler, Event, Format, Last, Read, Splitter, Usage};

const DONE: &[u8] = b"data: [DONE]\n\n";

/// How far a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More is to come.
    Open,
    /// Its end was seen, and is held.
    Ended,
    /// The provider says that it failed; its event is held.
    Reported,
    /// It broke off.
    Broken,
    /// It never will make sense again.
    Senseless,
}

/// One stream on its way through.
#[derive(Debug)]
pub(crate) struct Pump {
    splitter: Splitter,
    assembler: Assembler,
    format: Format,
    hide_usage: bool,
    /// What may leave.
    out: Vec<Bytes>,
    /// The end, which may not yet.
    held: Bytes,
    last: Option<Event>,
    waiting: VecDeque<Event>,
    rest: Bytes,
    pub(crate) changes: BTreeSet<Change>,
}

impl Pump {
    pub(crate) fn new(opened: Opened, assembler: Assembler, format: Format, hide_usage: bool) -> Self {
        let Opened { splitter, events, rest } = opened;
        Self {
            splitter,
            assembler,
            format,
            hide_usage,
            out: Vec::new(),
            held: Bytes::new(),
            last: None,
            waiting: events,
            rest,
            changes: BTreeSet::new(),
        }
    }

    /// Takes what came while the stream was opened.
    pub(crate) fn start(&mut self) -> Progress {
        while let Some(event) = self.waiting.pop_front() {
            let progress = self.take_event(event);
            if progress != Progress::Open {
                return progress;
            }
        }
        let rest = std::mem::take(&mut self.rest);
        self.push(rest)
    }

    /// Takes what has come.
    pub(crate) fn push(&mut self, mut chunk: Bytes) -> Progress {
        loop {
            match self.splitter.next_event(&mut chunk) {
                Ok(Some(event)) => match self.take_event(event) {
                    Progress::Open => {}
                    other => return other,
                },
                Ok(None) => return Progress::Open,
                Err(error) => {
                    tracing::debug!(%error, "the stream can't be followed");
                    return Progress::Senseless;
                }
            }
        }
    }

    /// The provider has closed; or broken off, which is the same where all was said.
    pub(crate) fn close(&mut self) -> Progress {
        let splitter = std::mem::replace(&mut self.splitter, Splitter::new(0));
        match splitter.finish() {
            Last::Whole(event) => match self.take_event(event) {
                Progress::Open => {}
                other => return other,
            },
            // Clients ignore an event without its blank line, unless it is given one.
            Last::Unfinished(event) if event.is_done() => return self.add_done(),
            Last::Unfinished(_) | Last::Nothing => {}
        }
        if self.is_finished() { self.add_done() } else { Progress::Broken }
    }

    /// Ends the stream in the provider's stead.
    pub(crate) fn add_done(&mut self) -> Progress {
        self.changes.insert(Change::ResponseDoneAdded);
        self.held = Bytes::from_static(DONE);
        Progress::Ended
    }

    /// Whether all was said, and only the end is missing, which can be added.
    pub(crate) fn is_finished(&self) -> bool {
        matches!(self.format, Format::Chat | Format::Completions) && self.assembler.finished()
    }

    /// What may leave.
    pub(crate) fn take(&mut self) -> Bytes {
        let Some(only) = self.out.pop() else { return Bytes::new() };
        if self.out.is_empty() {
            return only;
        }
        self.out.push(only);
        let mut joined = BytesMut::with_capacity(self.waiting_bytes());
        for piece in self.out.drain(..) {
            joined.extend_from_slice(&piece);
        }
        joined.freeze()
    }

    /// Bytes that may leave.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.out.iter().map(Bytes::len).sum()
    }

    /// The end.
    pub(crate) fn held(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }

    /// What was used, as far as the provider said.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.assembler.usage()
    }

    /// The number that the next event of a `responses` stream has.
    pub(crate) fn next_sequence(&self) -> u64 {
        let last = self.last.as_ref().and_then(Event::data);
        let number = last.and_then(|data| json::find(data, ["sequence_number"]).ok()).and_then(|[n]| n);
        number
            .and_then(|number| number.get().parse::<u64>().ok())
            .map_or(0, |number| number.saturating_add(1))
    }

    fn take_event(&mut self, event: Event) -> Progress {
        match self.assembler.read(&event) {
            Read::Nothing => self.out.push(event.into_raw()),
            Read::Malformed => {
                self.changes.insert(Change::ResponseEventDropped);
            }
            Read::Error => {
                self.held = event.into_raw();
                return Progress::Reported;
            }
            Read::End => {
                self.held = event.into_raw();
                return Progress::Ended;
            }
            Read::Part => self.pass(event),
        }
        Progress::Open
    }

    fn pass(&mut self, event: Event) {
        if self.format == Format::Responses {
            self.last = Some(event.clone());
        }
        if !self.hide_usage {
            self.out.push(event.into_raw());
            return;
        }
        match usage::hide(&event) {
            Shown::AsIs => self.out.push(event.into_raw()),
            Shown::Not => {
                self.changes.insert(Change::ResponseUsage);
            }
            Shown::Without(bytes) => {
                self.changes.insert(Change::ResponseUsage);
                self.out.push(bytes);
            }
        }
    }
}

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
