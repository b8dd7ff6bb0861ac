//! A sink in memory.

use std::collections::{BTreeMap, VecDeque};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::ship::verify::{Archive, ArchiveError, Checked, Finding, Found, Verifier};
use crate::ship::{Hash, Object, Put, PutError, Sink};

/// Objects, and what the next calls meet.
pub(super) struct MemSink {
    state: Mutex<State>,
    puts: watch::Sender<usize>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    faults: VecDeque<Fault>,
    /// Keys beginning with this wait for ever.
    stuck: Option<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Fails before anything is stored.
    Before,
    /// Fails although it is stored.
    After,
    /// Refused for good.
    Refused,
}

impl Default for MemSink {
    fn default() -> Self {
        Self { state: Mutex::default(), puts: watch::Sender::new(0) }
    }
}

impl MemSink {
    pub(super) fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().faults.extend(faults);
    }

    /// Holds uploads whose key has this in it; none with `None`. Whoever waits goes on waiting.
    pub(super) fn hold(&self, part: Option<&str>) {
        self.state.lock().stuck = part.map(str::to_owned);
    }

    pub(super) fn insert(&self, key: &str, bytes: &'static [u8]) {
        self.state.lock().objects.insert(key.to_owned(), Bytes::from_static(bytes));
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.state.lock().objects.keys().cloned().collect()
    }

    pub(super) fn object(&self, key: &str) -> Bytes {
        self.state.lock().objects[key].clone()
    }

    pub(super) async fn has_been_called(&self, times: usize) {
        self.puts.subscribe().wait_for(|puts| *puts >= times).await.unwrap();
    }

    /// The texts of all lines in order.
    pub(super) fn texts(&self) -> Vec<String> {
        let state = self.state.lock();
        let lines = state.objects.values().flat_map(|bytes| bytes.split(|byte| *byte == b'\n'));
        let values = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
        values.map(|value| value["text"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(super) async fn findings(&self) -> Vec<Finding> {
        let mut verifier = Verifier::new(self, "", None);
        let mut all = Vec::new();
        while let Some(Checked { findings, .. }) = verifier.next().await.unwrap() {
            all.extend(findings);
        }
        all
    }
}

#[async_trait]
impl Sink for MemSink {
    async fn put(&self, object: &Object) -> Result<Put, PutError> {
        self.puts.send_modify(|puts| *puts += 1);
        let stuck = self.state.lock().stuck.as_ref().is_some_and(|part| object.key.contains(part));
        if stuck {
            std::future::pending::<()>().await;
        }
        let mut state = self.state.lock();
        let fault = state.faults.pop_front();
        match fault {
            Some(Fault::Before) => return Err(PutError::Retry("before".into())),
            Some(Fault::Refused) => return Err(PutError::Refused("no".into())),
            Some(Fault::After) | None => {}
        }
        let put = match state.objects.get(&object.key).map(|bytes| Hash::of(bytes)) {
            Some(existing) if existing == object.sha256 => Put::AlreadyThere,
            Some(existing) => return Err(PutError::Conflict { existing }),
            None => {
                state.objects.insert(object.key.clone(), object.bytes.clone());
                Put::Stored
            }
        };
        if fault.is_some() { Err(PutError::Retry("after".into())) } else { Ok(put) }
    }
}

#[async_trait]
impl Archive for MemSink {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, ArchiveError> {
        let wanted = |key: &String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        Ok(self.keys().into_iter().filter(wanted).take(2).collect())
    }

    async fn get(&self, key: &str) -> Result<Found, ArchiveError> {
        Ok(Found { bytes: self.object(key), signature: None })
    }
}
