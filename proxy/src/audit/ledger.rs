//! Writes calls of the gateway into the journal: what a call is about to do before it does it, and how it
//! ended before its client knows.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use lockstep_queue::journal::{Append, Body, Journal, JournalError, Kind};
use parking_lot::Mutex;
use serde_json::json;
use ulid::Ulid;

use super::body::{BodyRules, Kept};
use super::contents::{
    ATTEMPT, AttemptHead, BEGIN, BeginHead, BegunHead, BodyHead, ClientHead, END, EndHead, Format,
    TargetHead, UsageHead, WHOLE, encode, whole,
};
use super::headers;
use super::late::{Ending, LateEnds};
use super::redact::Redactor;
use super::refusals::Refusals;
use super::stream::{Delivery, Streams};
use crate::ai::ledger::{
    Attempt, Begin, Begun, Client, End, Entry, Ledger, LedgerError, Outcome, Refused, RequestBody, Target,
};
use crate::ai::reading::{Cost, Usage};
use crate::ai::route::Endpoint;

/// How much a record's write waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// For the disk.
    #[default]
    Strict,
    /// For the operating system; the disk follows within 50 ms.
    Fast,
}

/// The ledger that writes into a journal. Cheap to clone.
#[derive(Clone)]
pub struct JournalLedger {
    shared: Arc<Shared>,
}

struct Shared {
    journal: Journal,
    durability: Durability,
    rules: Arc<BodyRules>,
    streams: Arc<Streams>,
    refusals: Arc<Refusals>,
    late: Arc<LateEnds>,
}

/// One call under way.
struct JournalEntry {
    shared: Arc<Shared>,
    id: Ulid,
    group: u64,
    delivery: Arc<Mutex<Delivery>>,
    followed: bool,
    /// Whether its end was handed to the journal.
    ended: bool,
}

impl JournalLedger {
    /// A ledger on a journal. `streams` must be swept, `refusals` summed up and `late` written by somebody.
    #[must_use]
    pub fn new(
        journal: Journal,
        durability: Durability,
        rules: Arc<BodyRules>,
        streams: Arc<Streams>,
        refusals: Arc<Refusals>,
        late: Arc<LateEnds>,
    ) -> Self {
        Self { shared: Arc::new(Shared { journal, durability, rules, streams, refusals, late }) }
    }

    async fn open(&self, begin: &Begin, durability: Durability) -> Result<Box<JournalEntry>, LedgerError> {
        let shared = &self.shared;
        let group = group_of(begin.id);
        let contents = shared.contents_of(begin)?;
        let delivery = Delivery::new(shared.journal.clone(), group, Arc::clone(&shared.rules));
        // Made before the write, so that whoever drops the future leaves a call that has an end.
        let mut entry = Box::new(JournalEntry {
            shared: Arc::clone(shared),
            id: begin.id,
            group,
            delivery: Arc::new(Mutex::new(delivery)),
            followed: false,
            ended: false,
        });
        if let Err(error) = shared.append(durability, BEGIN, group, contents).await {
            entry.ended = true;
            return Err(ledger_error(&error));
        }
        Ok(entry)
    }
}

#[async_trait]
impl Ledger for JournalLedger {
    async fn begin(&self, begin: Begin) -> Result<Box<dyn Entry>, LedgerError> {
        Ok(self.open(&begin, self.shared.durability).await?)
    }

    async fn answered(&self, begin: Begin, end: End) -> Result<(), LedgerError> {
        // Nothing is done between the two: the disk that the end waits for has the beginning too.
        self.open(&begin, Durability::Fast).await?.end(end).await
    }

    fn refused(&self, refused: Refused) {
        if !self.shared.refusals.admit(refused.reason) {
            return;
        }
        // Masked before it is cut, so that no beginning of a match is left.
        let path: String = self.shared.rules.redact.text(&refused.path).chars().take(MAX_PATH).collect();
        let record = json!({
            "id": refused.id.to_string(),
            "type": "refused",
            "started_at": refused.at,
            "outcome": "rejected",
            "reason": refused.reason,
            "count": 1,
            "client": {"addr": refused.addr.map(|addr| addr.ip())},
            "request": {"method": refused.method.as_str(), "path": path},
            "response": {"status": refused.status},
        });
        if let Ok(contents) = whole(record.to_string()) {
            let _unwatched = self.shared.journal.append_unsynced(WHOLE, 0, contents);
        }
    }
}

/// The longest path that a refused request leaves, in characters.
const MAX_PATH: usize = 512;

impl Shared {
    fn append(&self, durability: Durability, kind: Kind, group: u64, contents: Body) -> Append {
        match durability {
            Durability::Strict => self.journal.append(kind, group, contents),
            Durability::Fast => self.journal.append_unsynced(kind, group, contents),
        }
    }

    /// Writes an end, with what is kept of the answer's body or what is left of its parts.
    fn end(&self, id: Ulid, end: &End, body: BodyHead, bytes: &[Bytes]) -> Result<Ending, LedgerError> {
        let head = end_head(id, end, body, &self.rules.redact);
        let append = self.append(self.durability, END, group_of(id), contents(&head, bytes)?);
        Ok(self.late.follow(group_of(id), append, head.refused(end.body.is_none())))
    }

    /// Writes the end of a call that came in parts, some of which were refused.
    fn refused_end(&self, id: Ulid, end: &End, body: BodyHead) -> Result<Ending, LedgerError> {
        let head = end_head(id, end, body, &self.rules.redact).refused(true);
        let append = self.append(self.durability, END, group_of(id), contents(&head, &[])?);
        Ok(self.late.follow(group_of(id), append, head))
    }

    fn contents_of(&self, begin: &Begin) -> Result<Body, LedgerError> {
        let kept = match &begin.body {
            RequestBody::Whole(body) => self.rules.keep(body, &begin.headers),
            RequestBody::Streamed => Kept::default(),
        };
        let head = BeginHead {
            id: begin.id.to_string(),
            at: begin.started_at,
            client: client_head(&begin.client, &self.rules.redact),
            method: begin.method.to_string(),
            path: self.rules.redact.text(&begin.path).into_owned(),
            headers: self.rules.redact.headers(headers::allowed(&begin.headers)),
            format: format_of(begin.endpoint),
            model: begin.model.as_deref().map(|model| self.rules.redact.text(model).into_owned()),
            target: begin.target.as_ref().map(|target| target_head(target, None, &self.rules.redact)),
            body: kept.head,
        };
        contents(&head, &[kept.bytes])
    }
}

#[async_trait]
impl Entry for JournalEntry {
    async fn attempt(&mut self, target: Target) -> Result<(), LedgerError> {
        // What the target before delivered stands before it.
        self.delivery.lock().flush();
        let head = target_head(&target, Some(Timestamp::now()), &self.shared.rules.redact);
        let contents = contents(&head, &[])?;
        let append = self.shared.append(self.shared.durability, ATTEMPT, self.group, contents);
        append.await.map(drop).map_err(|error| ledger_error(&error))
    }

    fn begun(&mut self, begun: &Begun<'_>) {
        self.delivery.lock().begin(begun_head(begun, &self.shared.rules.redact));
    }

    fn part(&mut self, delivered: &Bytes) {
        self.delivery.lock().push(delivered);
        if !self.followed {
            self.followed = true;
            self.shared.streams.follow(&self.delivery);
        }
    }

    async fn end(mut self: Box<Self>, end: End) -> Result<(), LedgerError> {
        let writes = self.delivery.lock().last_writes();
        for write in writes {
            // Written long ago: whether it got through is known without waiting for the disk.
            let outcome = write.await;
            self.delivery.lock().wrote(&outcome);
        }
        let mut refused = None;
        let ending = match &end.body {
            Some(body) => {
                let kept = self.shared.rules.keep(body, &end.headers);
                self.shared.end(self.id, &end, kept.head, &[kept.bytes])?
            }
            None => {
                let rest = self.delivery.lock().finish(self.shared.rules.are_binary(&end.headers));
                refused = rest.refused.as_ref().filter(|_| end.outcome == Outcome::Complete).cloned();
                match refused {
                    // Nobody gets to the end of an answer of which a part is not recorded.
                    Some(_) => self.shared.refused_end(self.id, &end, rest.head)?,
                    None => self.shared.end(self.id, &end, rest.head, &rest.bytes)?,
                }
            }
        };
        self.ended = true;
        let written = ending.written().await;
        refused.map_or(written, Err).map_err(|error| ledger_error(&error))
    }
}

impl Drop for JournalEntry {
    /// A call that nobody brings to its end any more was interrupted. Nobody waits for this.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let mut delivery = self.delivery.lock();
        let (begun, rest) = (delivery.take_begun(), delivery.finish(false));
        let id = Some(self.id.to_string());
        let head = EndHead { id, body: rest.head, begun, ..EndHead::interrupted() };
        if let Ok(contents) = encode(&head, &rest.bytes) {
            let append = self.shared.append(Durability::Fast, END, self.group, contents);
            drop(self.shared.late.follow(self.group, append, head.refused(true)));
        }
    }
}

fn contents(head: &impl serde::Serialize, body: &[Bytes]) -> Result<Body, LedgerError> {
    encode(head, body).map_err(|error| {
        tracing::error!(%error, "a record can't be written");
        LedgerError::Failed
    })
}

fn ledger_error(error: &JournalError) -> LedgerError {
    match error {
        JournalError::Busy { .. } => LedgerError::Full,
        error if error.is_full() => LedgerError::Full,
        error => {
            tracing::error!(%error, "the audit journal refused a record");
            LedgerError::Failed
        }
    }
}

/// The group of a record: 64 random bits of its id.
fn group_of(id: Ulid) -> u64 {
    u64::try_from(u128::from(id) & u128::from(u64::MAX)).unwrap_or_default()
}

fn client_head(client: &Client, redact: &Redactor) -> ClientHead {
    let key = client.key.as_deref();
    let masked = |text: &String| redact.text(text).into_owned();
    ClientHead {
        addr: client.addr.map(|addr| addr.ip().to_canonical().to_string()),
        user_agent: client.user_agent.as_ref().map(masked),
        request_id: client.request_id.as_ref().map(masked),
        key_id: key.map(|key| key.id.clone()),
        labels: key.map(|key| key.labels.clone()).unwrap_or_default(),
    }
}

fn target_head(target: &Target, at: Option<Timestamp>, redact: &Redactor) -> TargetHead {
    TargetHead {
        provider: target.provider.to_string(),
        model: target.model.as_deref().map(|model| redact.text(model).into_owned()),
        at,
    }
}

fn end_head(id: Ulid, end: &End, body: BodyHead, redact: &Redactor) -> EndHead {
    EndHead {
        id: Some(id.to_string()),
        outcome: end.outcome.as_str().to_owned(),
        streamed: end.streamed,
        first_byte_at: end.first_byte_at,
        status: Some(end.status),
        headers: redact.headers(headers::allowed(&end.headers)),
        body,
        attempts: end.attempts.iter().map(|attempt| attempt_head(attempt, redact)).collect(),
        usage: end.usage.map(usage_head),
        cost_usd: end.cost.map(Cost::usd),
        changes: end.changes.iter().map(|change| redact.text(&change.to_string()).into_owned()).collect(),
        request: end.request.map(|digest| BodyHead {
            bytes: digest.bytes,
            sha256: Some(hex::encode(digest.sha256)),
            ..BodyHead::default()
        }),
        begun: None,
    }
}

fn begun_head(begun: &Begun<'_>, redact: &Redactor) -> BegunHead {
    BegunHead {
        at: begun.at,
        status: begun.attempts.last().and_then(|attempt| attempt.status),
        streamed: begun.streamed,
        attempts: begun.attempts.iter().map(|attempt| attempt_head(attempt, redact)).collect(),
    }
}

fn attempt_head(attempt: &Attempt, redact: &Redactor) -> AttemptHead {
    AttemptHead {
        provider: attempt.target.provider.to_string(),
        model: attempt.target.model.as_deref().map(|model| redact.text(model).into_owned()),
        status: attempt.status,
        error: attempt.error.as_deref().map(str::to_owned),
        started_at: attempt.started_at,
        first_byte_ms: attempt.first_byte_ms,
        total_ms: Some(attempt.total_ms),
        delivered: attempt.delivered,
        usage: attempt.usage.map(usage_head),
    }
}

fn usage_head(usage: Usage) -> UsageHead {
    let Usage { input, output, cached_input, reasoning } = usage;
    UsageHead { input, output, cached_input, reasoning }
}

fn format_of(endpoint: Endpoint) -> Format {
    match endpoint {
        Endpoint::Chat => Format::Chat,
        Endpoint::Completions => Format::Completions,
        Endpoint::Responses => Format::Responses,
        Endpoint::Messages => Format::Messages,
        _ => Format::Other,
    }
}
