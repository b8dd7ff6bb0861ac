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
    ATTEMPT, AttemptHead, BeginHead, BodyHead, ClientHead, END, EndHead, Format, Headers, Malformed, PART,
    PartHead, TargetHead, UsageHead, decode,
};
use super::{json_body, message};

/// The version of the schema.
pub const VERSION: u32 = 1;

/// A record as `docs/audit.md` lists it, without what the journal adds: `v`, `node`, `seq`, `ended_at`.
#[derive(Serialize)]
struct Record<'r> {
    id: &'r str,
    r#type: &'static str,
    started_at: Timestamp,
    first_byte_at: Option<Timestamp>,
    outcome: &'r str,
    streamed: bool,
    client: ClientHead,
    route: Route<'r>,
    attempts: Vec<AttemptHead>,
    request: Request<'r>,
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
struct Side {
    headers: BTreeMap<String, String>,
    body: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    bytes: u64,
    sha256: Option<String>,
    truncated: bool,
}

/// The frames of one call.
#[derive(Debug, Default)]
pub struct Call {
    begin: Option<(BeginHead, Bytes)>,
    targets: Vec<TargetHead>,
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
            ATTEMPT => self.targets.push(decode(contents)?.0),
            PART => {
                let (head, body) = decode::<PartHead>(contents)?;
                self.delivered += head.bytes;
                self.parts.push(body);
            }
            END => self.end = Some(decode(contents)?),
            kind if kind.role() == Role::Begin => self.begin = Some(decode(contents)?),
            // A tag of a later release: what it says is not known here.
            _ => {}
        }
        Ok(())
    }

    /// Takes that some frames can't be read any more: parts of the answer may be among them.
    pub fn lost(&mut self, frames: usize) {
        self.lost = frames;
    }

    /// The record as a JSON object, without what the journal adds.
    ///
    /// # Errors
    /// If it can't be written as JSON, which nothing here can bring about.
    pub fn fields(self) -> Result<Vec<u8>, serde_json::Error> {
        let (begin, request_body) = self.begin.unwrap_or_else(|| (lost_begin(), Bytes::new()));
        let (end, answer) = self.end.unwrap_or_else(|| (EndHead::interrupted(), Bytes::new()));
        let interrupted = end.attempts.is_empty() && end.outcome == INTERRUPTED;
        let attempts = if interrupted { attempts_of(&begin, &self.targets) } else { end.attempts };
        let streamed = end.streamed || (interrupted && self.delivered > 0);
        let answer = if self.parts.is_empty() { answer } else { joined(&self.parts, &answer) };
        let mut body = end.body;
        body.bytes = body.bytes.max(self.delivered);
        body.truncated |= (interrupted && self.delivered > 0) || self.lost > 0;
        let provider = attempts.last().map(|attempt| attempt.provider.clone());
        let record = Record {
            id: &begin.id,
            r#type: "ai",
            started_at: begin.at,
            first_byte_at: end.first_byte_at,
            outcome: &end.outcome,
            streamed,
            route: Route { model: begin.model.as_deref(), provider: provider.as_deref() },
            attempts,
            message: streamed.then(|| message::assemble(begin.format, &answer)).flatten(),
            request: Request {
                method: &begin.method,
                path: &begin.path,
                side: side(begin.headers, end.request.unwrap_or(begin.body), &request_body),
            },
            client: begin.client,
            response: Response { status: end.status, side: side(end.headers, body, &answer) },
            usage: end.usage,
            cost_usd: end.cost_usd,
            changes: end.changes,
            lost_frames: (self.lost > 0).then_some(self.lost),
        };
        serde_json::to_vec(&record)
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
        headers: headers.into_iter().collect(),
        body: json_body::show(bytes, truncated, binary),
        encoding: binary.then_some("base64"),
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

/// Whom an interrupted call asked, as far as the journal tells.
fn attempts_of(begin: &BeginHead, further: &[TargetHead]) -> Vec<AttemptHead> {
    let attempt = |target: &TargetHead| AttemptHead {
        provider: target.provider.clone(),
        model: target.model.clone(),
        status: None,
        error: Some(INTERRUPTED.to_owned()),
        started_at: target.at.unwrap_or(begin.at),
        first_byte_ms: None,
        total_ms: None,
        delivered: 0,
        usage: None,
    };
    begin.target.iter().chain(further).map(attempt).collect()
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
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
