//! Makes the line of a record from what the journal holds of it: the last step before shipping, away
//! from requests.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use lockstep_queue::journal::{Kind, Role, Stamp};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::contents::{
    ATTEMPT, AttemptHead, BeginHead, BegunHead, BodyHead, ClientHead, END, EndHead, Format, Headers,
    Malformed, PART, PartHead, TargetHead, UsageHead, decode,
};
use super::{json_body, message};

/// The version of the schema.
pub const VERSION: u32 = 1;
/// How binary bodies are written.
pub(crate) const BASE64: &str = "base64";

/// A record as `docs/audit.md` lists it, without what the journal adds: `v`, `node`, `seq`, `ended_at`.
#[derive(Serialize)]
struct Record<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'r str>,
    r#type: &'static str,
    started_at: Option<Timestamp>,
    first_byte_at: Option<Timestamp>,
    outcome: &'r str,
    streamed: bool,
    client: ClientHead,
    route: Route<'r>,
    attempts: Vec<AttemptHead>,
    /// Nothing if the beginning is lost.
    request: Option<Request<'r>>,
    response: Response,
    message: Option<serde_json::Value>,
    usage: Option<UsageHead>,
    cost_usd: Option<f64>,
    changes: Vec<String>,
    /// Frames that can't be read any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_frames: Option<usize>,
}

#[derive(Serialize)]
struct Route<'r> {
    model: Option<&'r str>,
    provider: Option<&'r str>,
}

#[derive(Serialize)]
struct Request<'r> {
    method: &'r str,
    path: &'r str,
    #[serde(flatten)]
    side: Side,
}

#[derive(Serialize)]
struct Response {
    status: Option<u16>,
    #[serde(flatten)]
    side: Side,
}

/// Headers and body of one direction.
#[derive(Serialize)]
pub(crate) struct Side {
    pub(crate) headers: BTreeMap<String, String>,
    /// Shown as it came, and so never read again on its way.
    pub(crate) body: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) encoding: Option<&'static str>,
    pub(crate) bytes: u64,
    pub(crate) sha256: Option<String>,
    pub(crate) truncated: bool,
}

/// The frames of one call.
#[derive(Debug, Default)]
pub struct Call {
    begin: Option<(BeginHead, Bytes)>,
    /// The tries that are known without the end.
    attempts: Vec<AttemptHead>,
    begun: Option<BegunHead>,
    delivered: u64,
    parts: Vec<Bytes>,
    lost: usize,
    end: Option<(EndHead, Bytes)>,
}

impl Call {
    /// Takes the next frame of the call.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn take(&mut self, kind: Kind, contents: &Bytes) -> Result<(), Malformed> {
        match kind {
            ATTEMPT => {
                let target: TargetHead = decode(contents)?.0;
                self.attempts.push(attempt_on(&target, target.at.unwrap_or_default()));
            }
            PART => {
                let (head, body) = decode::<PartHead>(contents)?;
                self.begun(head.begun);
                self.deliver(head.bytes);
                self.parts.push(body);
            }
            END => {
                let (mut head, body) = decode::<EndHead>(contents)?;
                self.begun(head.begun.take());
                self.end = Some((head, body));
            }
            kind if kind.role() == Role::Begin => {
                let (head, body) = decode::<BeginHead>(contents)?;
                self.attempts.extend(head.target.as_ref().map(|target| attempt_on(target, head.at)));
                self.begin = Some((head, body));
            }
            // A tag of a later release: what it says is not known here.
            _ => {}
        }
        Ok(())
    }

    fn begun(&mut self, begun: Option<BegunHead>) {
        if let Some(mut begun) = begun {
            // It knows more of them.
            self.attempts = std::mem::take(&mut begun.attempts);
            self.attempts.iter_mut().for_each(|attempt| attempt.delivered = 0);
            self.begun = Some(begun);
        }
    }

    fn deliver(&mut self, bytes: u64) {
        self.delivered += bytes;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.delivered += bytes;
        }
    }

    /// Takes that some frames can't be read any more: parts of the answer may be among them.
    pub fn lost(&mut self, frames: usize) {
        self.lost = frames;
    }

    /// The record as a JSON object, without what the journal adds.
    ///
    /// # Errors
    /// If it can't be written as JSON, which nothing here can bring about.
    pub fn fields(mut self) -> Result<Vec<u8>, serde_json::Error> {
        let known = self.begin.is_some();
        let lost = self.lost.max(usize::from(!known));
        let (begin, request_body) = self.begin.take().unwrap_or_else(|| (lost_begin(), Bytes::new()));
        let (end, answer) = self.end.take().unwrap_or_else(|| (EndHead::interrupted(), Bytes::new()));
        let interrupted = end.attempts.is_empty() && end.outcome == INTERRUPTED;
        let mut body = end.body;
        body.truncated |= (interrupted && self.delivered > 0) || lost > 0;
        body.bytes = body.bytes.max(self.delivered);
        // What an end holds of the answer that nobody brought to it.
        self.deliver(body.bytes - self.delivered);
        let streamed = end.streamed || (interrupted && self.is_stream());
        let answer = if self.parts.is_empty() { answer } else { joined(&self.parts, &answer) };
        let attempts = if interrupted { broken_off(self.attempts) } else { end.attempts };
        let provider = attempts.last().map(|attempt| attempt.provider.clone());
        let begun = self.begun.as_ref();
        let record = Record {
            id: known.then_some(&*begin.id).or(end.id.as_deref()),
            r#type: "ai",
            started_at: known.then_some(begin.at),
            first_byte_at: end.first_byte_at.or(begun.map(|begun| begun.at)),
            outcome: &end.outcome,
            streamed,
            route: Route { model: begin.model.as_deref(), provider: provider.as_deref() },
            attempts,
            message: streamed.then(|| message::assemble(begin.format, &answer, body.truncated)).flatten(),
            request: known.then(|| Request {
                method: &begin.method,
                path: &begin.path,
                side: side(begin.headers, end.request.unwrap_or(begin.body), &request_body),
            }),
            client: begin.client,
            response: Response {
                status: end.status.or(begun.and_then(|begun| begun.status)),
                side: side(end.headers, body, &answer),
            },
            usage: end.usage,
            cost_usd: end.cost_usd,
            changes: end.changes,
            lost_frames: (lost > 0).then_some(lost),
        };
        serde_json::to_vec(&record)
    }

    /// Whether the answer is a stream of events, as far as that is known without the end.
    fn is_stream(&self) -> bool {
        self.begun.as_ref().map_or(self.delivered > 0, |begun| begun.streamed)
    }
}

/// The outcome of a call whose process ended first.
pub const INTERRUPTED: &str = "interrupted";

/// The line of a record, without its break: its fields and what the journal adds.
#[must_use]
pub fn line(fields: &[u8], node: &str, stamp: Stamp) -> Option<Vec<u8>> {
    let fields = fields.strip_prefix(b"{")?;
    let node = serde_json::to_string(node).ok()?;
    let (seq, ended_at) = (stamp.seq, ended_at(stamp));
    let mut line =
        format!(r#"{{"v":{VERSION},"node":{node},"seq":{seq},"ended_at":"{ended_at}","#).into_bytes();
    line.extend_from_slice(fields);
    Some(line)
}

/// The moment of a stamp.
#[must_use]
pub fn ended_at(stamp: Stamp) -> Timestamp {
    i64::try_from(stamp.at_millis)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .unwrap_or_default()
}

fn side(headers: Headers, body: BodyHead, bytes: &[u8]) -> Side {
    let BodyHead { bytes: length, sha256, truncated, binary } = body;
    // Nobody knows the digest of what is not here as it passed.
    let whole = length > 0 && !truncated && u64::try_from(bytes.len()) == Ok(length);
    let sha256 = sha256.or_else(|| whole.then(|| hex::encode(Sha256::digest(bytes))));
    Side {
        headers: headers.into_iter().map(|(name, value)| (name.into_owned(), value)).collect(),
        body: json_body::show(bytes, truncated, binary),
        encoding: binary.then_some(BASE64),
        bytes: length,
        sha256,
        truncated,
    }
}

/// What a stream delivered: its parts, and what came after the last one.
fn joined(parts: &[Bytes], last: &Bytes) -> Bytes {
    let mut all = parts.concat();
    all.extend_from_slice(last);
    Bytes::from(all)
}

/// A try of which nothing but its beginning is known.
fn attempt_on(target: &TargetHead, started_at: Timestamp) -> AttemptHead {
    AttemptHead {
        provider: target.provider.clone(),
        model: target.model.clone(),
        status: None,
        error: None,
        started_at,
        first_byte_ms: None,
        total_ms: None,
        delivered: 0,
        usage: None,
    }
}

/// The tries of an interrupted call, as far as the journal tells: those that did not fail before were.
fn broken_off(attempts: Vec<AttemptHead>) -> Vec<AttemptHead> {
    let broken = |attempt: AttemptHead| match attempt.error {
        Some(_) => attempt,
        None => AttemptHead { error: Some(INTERRUPTED.to_owned()), total_ms: None, ..attempt },
    };
    attempts.into_iter().map(broken).collect()
}

/// Stands for a begin that a damaged segment took along.
fn lost_begin() -> BeginHead {
    BeginHead {
        id: String::new(),
        at: Timestamp::UNIX_EPOCH,
        client: ClientHead::default(),
        method: String::new(),
        path: String::new(),
        headers: Headers::new(),
        format: Format::Other,
        model: None,
        target: None,
        body: BodyHead::default(),
    }
}

impl EndHead {
    /// The end of a call whose process ended first.
    #[must_use]
    pub fn interrupted() -> Self {
        Self {
            id: None,
            outcome: INTERRUPTED.to_owned(),
            streamed: false,
            first_byte_at: None,
            status: None,
            headers: Headers::new(),
            body: BodyHead::default(),
            attempts: Vec::new(),
            usage: None,
            cost_usd: None,
            changes: Vec::new(),
            request: None,
            begun: None,
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
