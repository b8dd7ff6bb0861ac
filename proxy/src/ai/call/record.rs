//! What a call leaves behind, gathered while it is made.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use tokio::time::Instant;
use ulid::Ulid;

use super::asked::Head;
use crate::ai::errors::ApiError;
use crate::ai::keys;
use crate::ai::ledger::{
    self, Attempt, Begin, Begun, Change, Digest, End, Entry, KeyIdentity, Ledger, LedgerError, Outcome,
    RequestBody,
};
use crate::ai::reading::{Cost, Price, Usage};
use crate::clock::millis;

/// The record of one call.
pub(crate) struct Record {
    pub(crate) id: Ulid,
    pub(crate) started: Instant,
    pub(crate) started_at: Timestamp,
    pub(crate) client: ledger::Client,
    ledger: Arc<dyn Ledger>,
    entry: Option<Box<dyn Entry>>,
    pub(crate) attempts: Vec<Attempt>,
    /// When the last of them began.
    began: Instant,
    prices: Vec<Option<Price>>,
    pub(crate) changes: BTreeSet<Change>,
    pub(crate) usage: Option<Usage>,
    pub(crate) first_byte_at: Option<Timestamp>,
    pub(crate) first_byte: Option<Instant>,
    pub(crate) streamed: bool,
    pub(crate) request: Option<Digest>,
    /// The model that was asked for.
    pub(crate) model: Option<String>,
    /// The code of the error that the gateway itself answered with.
    pub(crate) code: Option<&'static str>,
    /// How the call ended, once it has.
    pub(crate) outcome: Option<Outcome>,
    /// Its place among the key's requests at once. Free before the end of the answer leaves: a client that
    /// has it may ask again.
    pub(crate) place: Option<keys::Running>,
}

/// An attempt that runs.
pub(crate) struct Running {
    began: Instant,
    record: Attempt,
    price: Option<Price>,
}

impl Record {
    pub(crate) fn new(id: Ulid, client: ledger::Client, ledger: Arc<dyn Ledger>) -> Self {
        let started = Instant::now();
        Self {
            id,
            started,
            started_at: Timestamp::now(),
            client,
            ledger,
            entry: None,
            // Nearly always there is one.
            attempts: Vec::with_capacity(1),
            began: started,
            prices: Vec::with_capacity(1),
            changes: BTreeSet::new(),
            usage: None,
            first_byte_at: None,
            first_byte: None,
            streamed: false,
            request: None,
            model: None,
            code: None,
            outcome: None,
            place: None,
        }
    }

    pub(crate) fn identify(&mut self, key: Arc<KeyIdentity>) {
        self.client.key = Some(key);
    }

    fn begin(&self, head: &Head, body: RequestBody, target: Option<ledger::Target>) -> Begin {
        Begin {
            id: self.id,
            started_at: self.started_at,
            client: self.client.clone(),
            method: head.method.clone(),
            path: head.path.clone(),
            headers: Arc::clone(&head.headers),
            body,
            endpoint: head.endpoint(),
            model: self.model.clone(),
            target,
        }
    }

    /// Notes that a target is about to be contacted. What it needs of the request is only asked for
    /// once.
    pub(crate) async fn contact(
        &mut self,
        head: &Head,
        body: impl FnOnce() -> RequestBody,
        target: &ledger::Target,
    ) -> Result<(), LedgerError> {
        match &mut self.entry {
            Some(entry) => entry.attempt(target.clone()).await?,
            None => {
                let begin = self.begin(head, body(), Some(target.clone()));
                self.entry = Some(self.ledger.begin(begin).await?);
            }
        }
        Ok(())
    }

    /// Notes what was just delivered.
    pub(crate) fn delivered(&mut self, bytes: &Bytes) {
        if self.first_byte_at.is_none() {
            let at = Timestamp::now();
            self.first_byte_at = Some(at);
            self.first_byte = Some(Instant::now());
            if let Some(entry) = &mut self.entry {
                entry.begun(&Begun { at, streamed: self.streamed, attempts: &self.attempts });
            }
        }
        if let Some(last) = self.attempts.last_mut() {
            last.delivered = last.delivered.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        }
        if let Some(entry) = &mut self.entry {
            entry.part(bytes);
        }
    }

    /// Begins an attempt. Boxed: it is handed from future to future, each of which would keep room for it.
    pub(crate) fn attempt(&self, target: ledger::Target, price: Option<Price>) -> Box<Running> {
        let record = Attempt {
            target,
            started_at: Timestamp::now(),
            status: None,
            error: None,
            first_byte_ms: None,
            total_ms: 0,
            delivered: 0,
            usage: None,
        };
        Box::new(Running { began: Instant::now(), record, price })
    }

    /// Adds an attempt that has ended, or that will deliver from now on.
    pub(crate) fn add(&mut self, running: Running) {
        let Running { began, mut record, price } = running;
        record.total_ms = millis(began.elapsed());
        self.began = began;
        self.attempts.push(record);
        self.prices.push(price);
    }

    /// Notes what the last attempt used, and how it failed after all.
    pub(crate) fn conclude(&mut self, usage: Option<Usage>, error: Option<&'static str>) {
        if let Some(last) = self.attempts.last_mut() {
            last.total_ms = millis(self.began.elapsed());
            last.usage = usage.or(last.usage);
            last.error = error.map(Cow::Borrowed).or(last.error.take());
        }
    }

    /// What all attempts cost, if any has a price.
    pub(crate) fn cost(&self) -> Option<Cost> {
        let costs = self
            .attempts
            .iter()
            .zip(&self.prices)
            .filter_map(|(attempt, price)| Some((*price)?.cost(attempt.usage?)));
        costs.reduce(|sum, cost| sum + cost)
    }

    fn end(&mut self, outcome: Outcome, status: u16, headers: HeaderMap, body: Option<Bytes>) -> End {
        self.outcome = Some(outcome);
        if let (Some(body), Some(last)) = (&body, self.attempts.last_mut())
            && last.status == Some(status)
        {
            // It comes in one piece, and is the provider's; an error of ours has a status of ours.
            last.delivered = u64::try_from(body.len()).unwrap_or(u64::MAX);
        }
        let first_byte_at = self.first_byte_at.or_else(|| body.is_some().then(Timestamp::now));
        self.first_byte_at = first_byte_at;
        self.first_byte.get_or_insert_with(Instant::now);
        End {
            outcome,
            status,
            headers,
            body,
            streamed: self.streamed,
            first_byte_at,
            attempts: self.attempts.clone(),
            usage: self.usage,
            cost: self.cost(),
            changes: self.changes.iter().cloned().collect(),
            request: self.request,
        }
    }

    /// Notes how a call ended whose provider was contacted, or that was not made at all.
    pub(crate) async fn close(
        &mut self,
        head: &Head,
        asked: &Bytes,
        outcome: Outcome,
        answer: (u16, HeaderMap, Option<Bytes>),
    ) -> Result<(), LedgerError> {
        let (status, headers, body) = answer;
        let end = self.end(outcome, status, headers, body);
        let closed = match self.entry.take() {
            Some(entry) => entry.end(end).await,
            None => {
                let begin = self.begin(head, RequestBody::Whole(asked.clone()), None);
                self.ledger.answered(begin, end).await
            }
        };
        self.place = None;
        closed
    }

    /// Notes that nothing can be recorded; gives the error that says so to the client.
    pub(crate) fn unrecorded(&mut self, error: LedgerError) -> ApiError {
        tracing::error!(%error, "a call could not be recorded");
        self.place = None;
        self.outcome = Some(match self.outcome {
            _ if self.attempts.is_empty() => Outcome::Rejected,
            None | Some(Outcome::Complete) => Outcome::Interrupted,
            Some(failed) => failed,
        });
        let error = ApiError::unrecorded(error);
        self.code = Some(error.code);
        error
    }
}

impl Running {
    pub(crate) fn status(&mut self, status: u16) {
        self.record.status = Some(status);
    }

    pub(crate) fn first_byte(&mut self) {
        self.record.first_byte_ms.get_or_insert_with(|| millis(self.began.elapsed()));
    }

    pub(crate) fn failed(&mut self, error: &'static str) {
        self.record.error = Some(Cow::Borrowed(error));
    }

    pub(crate) fn used(&mut self, usage: Option<Usage>) {
        self.record.usage = usage;
    }
}
