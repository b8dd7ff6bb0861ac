//! What a provider received.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::Value;

use crate::http1::Message;

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    /// The request as it came. Over HTTP/2, `:authority` is its `host`.
    pub request: Message,
    /// The model that it names; empty without one.
    pub model: String,
    /// When it was whole.
    pub at: Instant,
    /// The number of its connection, from 1.
    pub connection: usize,
    /// Whether it came over HTTP/2.
    pub http2: bool,
    end: Option<(Ending, Instant)>,
}

/// How the answer to a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All that the script says was done.
    Done,
    /// The peer went away before.
    Left,
}

/// The log of a provider.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    calls: Vec<Call>,
    /// The number of the first call in `calls`.
    first: usize,
    asked: HashMap<String, usize>,
    accepted: usize,
}

impl Call {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        self.request.json()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }

    /// How its answer ended, once it has.
    pub fn ending(&self) -> Option<Ending> {
        self.end.map(|(ending, _)| ending)
    }

    /// When its answer ended.
    pub fn ended_at(&self) -> Option<Instant> {
        self.end.map(|(_, at)| at)
    }
}

impl Log {
    /// Counts a connection and gives it a number.
    pub(super) fn accept(&self) -> usize {
        let mut entries = self.0.lock();
        entries.accepted += 1;
        entries.accepted
    }

    /// Notes a request. Tells its number, and how many for its model came before it.
    pub(super) fn begin(
        &self,
        request: Message,
        model: &str,
        connection: usize,
        http2: bool,
    ) -> (usize, usize) {
        let mut entries = self.0.lock();
        let call =
            Call { request, model: model.to_owned(), at: Instant::now(), connection, http2, end: None };
        entries.calls.push(call);
        let number = entries.first + entries.calls.len() - 1;
        let asked = entries.asked.entry(model.to_owned()).or_default();
        *asked += 1;
        (number, *asked - 1)
    }

    /// Notes the end of an answer, unless the call was forgotten.
    pub(super) fn end(&self, number: usize, ending: Ending) {
        let mut entries = self.0.lock();
        let index = number.checked_sub(entries.first);
        if let Some(call) = index.and_then(|index| entries.calls.get_mut(index)) {
            call.end = Some((ending, Instant::now()));
        }
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.0.lock().calls.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().calls.len()
    }

    pub(super) fn accepted(&self) -> usize {
        self.0.lock().accepted
    }

    pub(super) fn clear(&self) {
        let mut entries = self.0.lock();
        entries.first += entries.calls.len();
        entries.calls.clear();
        entries.asked.clear();
    }
}
