//! What becomes of each event of a stream: passed on as it came, left out, or held back because it
//! is the end, which the client must not see before the record is safe.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::joint::{Identity, Joined, Joint, Said};
use super::opening::Opened;
use super::usage::{self, Shown};
use crate::ai::anthropic::{OpenAiError, Step, StreamTranslator};
use crate::ai::json;
use crate::ai::ledger::Change;
use crate::ai::reading::{Assembler, Event, Format, Last, Read, Splitter, Usage};

const DONE: &[u8] = b"data: [DONE]\n\n";
/// In one of so many events at the beginning a stream says what it is.
const FIRST: usize = 3;

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
    /// It says something else than the stream that it was to go on with.
    Parted,
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
    /// Of a provider that speaks otherwise than the client.
    translator: Option<Box<StreamTranslator>>,
    /// Of a stream that goes on where another broke off.
    joint: Option<Box<Joint>>,
    /// The first events of a stream that may have to be continued.
    first: Vec<Event>,
    waiting: VecDeque<Event>,
    rest: Bytes,
    /// How many events said something, and which of them was left out last.
    events: u64,
    left_out: Option<u64>,
    /// How many malformed events were left out.
    pub(crate) dropped: u64,
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
            translator: None,
            joint: None,
            first: Vec::new(),
            waiting: events,
            rest,
            events: 0,
            left_out: None,
            dropped: 0,
            changes: BTreeSet::new(),
        }
    }

    /// Has every event translated.
    pub(crate) fn translating(self, translator: StreamTranslator) -> Self {
        Self { translator: Some(Box::new(translator)), ..self }
    }

    /// Has the stream go on where another broke off.
    pub(crate) fn joining(self, joint: Joint) -> Self {
        Self { joint: Some(Box::new(joint)), ..self }
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
        let has_done = matches!(self.format, Format::Chat | Format::Completions) || self.translator.is_some();
        let joined = self.joint.as_ref().is_none_or(|joint| joint.is_joined());
        has_done && joined && self.assembler.finished()
    }

    /// Whether the provider has ended the stream, be it with an error.
    pub(crate) fn has_ended(&self) -> bool {
        self.assembler.ended()
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

    /// What was said and under which name, if that is all that matters and another could go on.
    pub(crate) fn said(&self) -> Option<Said> {
        let text = self.assembler.plain_text()?.to_owned();
        if let Some(joint) = &self.joint {
            // What the client has of this stream follows what it had before.
            return joint.said(&text);
        }
        let identity = match &self.translator {
            Some(translator) => translator.identity().cloned().map(|known| Identity {
                id: known.id,
                model: known.model,
                created: translator.created(),
            }),
            None => self.first.iter().find_map(Identity::of),
        };
        Some(Said { identity: identity?, text })
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
        self.events += u64::from(event.says_something());
        let read = self.assembler.read(&event);
        if let Some(translator) = &mut self.translator {
            return match translator.translate(&event) {
                Step::Malformed => self.leave_out(&event),
                step => self.take_step(step),
            };
        }
        match read {
            Read::Nothing => self.out.push(event.into_raw()),
            Read::Malformed => return self.leave_out(&event),
            Read::Error => {
                self.held = event.into_raw();
                return Progress::Reported;
            }
            Read::End => return self.end(event.into_raw()),
            Read::Part if self.joint.is_some() => return self.join(&event),
            Read::Part => self.pass(event),
        }
        Progress::Open
    }

    /// Leaves a malformed event out. With a second one in a row, too much of the answer would be missing.
    fn leave_out(&mut self, event: &Event) -> Progress {
        self.changes.insert(Change::ResponseEventDropped);
        self.dropped += 1;
        if !event.says_something() {
            return Progress::Open;
        }
        let before = self.left_out.replace(self.events);
        if before.is_some_and(|before| before + 1 == self.events) {
            Progress::Senseless
        } else {
            Progress::Open
        }
    }

    fn take_step(&mut self, step: Step) -> Progress {
        match step {
            Step::Nothing | Step::Malformed => {}
            Step::Chunks(bytes) if self.joint.is_some() => return self.join_all(bytes),
            Step::Chunks(bytes) => self.out.push(bytes),
            Step::Error(error) => {
                self.held = OpenAiError::from(&error).event();
                return Progress::Reported;
            }
            Step::End(bytes) if self.joint.is_some() => {
                let last = bytes.strip_suffix(DONE).map_or(bytes.len(), <[u8]>::len);
                return match self.join_all(bytes.slice(..last)) {
                    Progress::Open => self.end(Bytes::from_static(DONE)),
                    other => other,
                };
            }
            Step::End(bytes) => return self.end(bytes),
        }
        Progress::Open
    }

    /// Holds the end of the stream. One that never came to what the client has already is no end.
    fn end(&mut self, held: Bytes) -> Progress {
        if self.joint.as_ref().is_some_and(|joint| !joint.is_joined()) {
            return Progress::Parted;
        }
        self.held = held;
        Progress::Ended
    }

    fn join_all(&mut self, mut chunks: Bytes) -> Progress {
        let mut splitter = Splitter::new(usize::MAX);
        while let Ok(Some(event)) = splitter.next_event(&mut chunks) {
            match self.join(&event) {
                Progress::Open => {}
                other => return other,
            }
        }
        Progress::Open
    }

    fn join(&mut self, event: &Event) -> Progress {
        let joined = self.joint.as_mut().map(|joint| joint.take(event));
        match joined {
            Some(Joined::Shown(bytes)) => {
                self.changes.insert(Change::ResponseContinued);
                self.out.push(bytes);
            }
            Some(Joined::Known) | None => {}
            Some(Joined::Other) => return Progress::Parted,
        }
        Progress::Open
    }

    fn pass(&mut self, event: Event) {
        if self.format == Format::Responses {
            self.last = Some(event.clone());
        }
        if self.first.len() < FIRST {
            self.first.push(event.clone());
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
