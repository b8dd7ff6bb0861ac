//! The seam between the gateway and the audit: what is told of each call, and when. The gateway
//! knows only these traits; what stands behind them decides what is kept, masked and synced.
//!
//! The order is the promise (P4): [`Ledger::begin`] resolves before the first provider is contacted,
//! [`Entry::attempt`] before each further one, and [`Entry::end`] before the client gets the last
//! byte of its answer.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use thiserror::Error;
use ulid::Ulid;

use super::reading::{Cost, Usage};
use super::route::Endpoint;

/// Where calls leave their records.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Notes that a call is about to be made. Once it resolves, the note survives a crash.
    ///
    /// # Errors
    /// If nothing can be noted: the call must not be made.
    async fn begin(&self, begin: Begin) -> Result<Box<dyn Entry>, LedgerError>;

    /// Records a request that was authenticated and that the gateway answered itself: one record,
    /// without attempts. Mostly these are rejections; a list of models is one that is not.
    ///
    /// # Errors
    /// If nothing can be recorded: the client must not see the answer.
    async fn answered(&self, begin: Begin, end: End) -> Result<(), LedgerError>;

    /// Notes a request that was refused before it was authenticated. Waits for nothing and may be
    /// summed up.
    fn refused(&self, refused: Refused);
}

/// The record of one call, while the call is made. One that is dropped without its end stands for
/// a call that was interrupted.
#[async_trait]
pub trait Entry: Send {
    /// Notes that a target is about to be contacted once more, be it another one or the last again; the first time is
    /// in [`Begin`].
    ///
    /// # Errors
    /// If nothing can be noted: the target must not be contacted.
    async fn attempt(&mut self, target: Target) -> Result<(), LedgerError>;

    /// Takes what is known when the first byte of the answer leaves: more is only known at the end, which may never
    /// come. Returns at once.
    fn begun(&mut self, _begun: &Begun<'_>) {}

    /// Takes what was just delivered to the client, in the order of delivery, without framing. Keeps
    /// the bytes by reference and returns at once.
    fn part(&mut self, delivered: &Bytes);

    /// Notes how the call ended. Once it resolves, the record survives a crash.
    ///
    /// # Errors
    /// If nothing can be noted: the client must not see the end of its answer.
    async fn end(self: Box<Self>, end: End) -> Result<(), LedgerError>;
}

/// Why nothing could be noted. Clients are told 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// The space for records is used up (`audit.disk.when_full: reject`).
    #[error("the audit journal is full")]
    Full,
    /// The journal can't be written any more.
    #[error("the audit journal can't be written")]
    Failed,
}

/// What is known of a call before any provider is contacted.
#[derive(Debug, Clone)]
pub struct Begin {
    /// The id of the record, which is also the `x-request-id` of the answer.
    pub id: Ulid,
    /// When the head of the request was complete.
    pub started_at: Timestamp,
    /// Who asked.
    pub client: Client,
    /// The method.
    pub method: Method,
    /// The path without the query, as the client sent it.
    pub path: String,
    /// All headers that the client sent, credentials included: the ledger keeps an allow-list.
    pub headers: Arc<HeaderMap>,
    /// What the client sent.
    pub body: RequestBody,
    /// What kind of call it is, which tells the format of its answer.
    pub endpoint: Endpoint,
    /// The model that was asked for, where one is named.
    pub model: Option<String>,
    /// The target that is contacted first; none if the gateway answers by itself.
    pub target: Option<Target>,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The address, as a trusted proxy names it.
    pub addr: Option<SocketAddr>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// The `x-client-request-id` that the client sent, else its `x-request-id`.
    pub request_id: Option<String>,
    /// The key that it used; none with `auth: passthrough` and `none`.
    pub key: Option<Arc<KeyIdentity>>,
}

/// A key, as records name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyIdentity {
    /// Its id.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// The body of a request.
#[derive(Debug, Clone)]
pub enum RequestBody {
    /// All of it.
    Whole(Bytes),
    /// It passes through while the call is made; [`End::request`] has its size and digest.
    Streamed,
}

/// One of a model's targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The provider's name in the configuration.
    pub provider: Arc<str>,
    /// The model as the provider calls it, where one is named.
    pub model: Option<Arc<str>>,
}

/// An answer whose first byte leaves for the client.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// When.
    pub at: Timestamp,
    /// Whether it is a stream of events.
    pub streamed: bool,
    /// Every try so far; the last one answers.
    pub attempts: &'a [Attempt],
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct End {
    /// In one word.
    pub outcome: Outcome,
    /// The status that the client got, or would have got.
    pub status: u16,
    /// The headers of the answer as the client got them.
    pub headers: HeaderMap,
    /// The body of the answer, where it is one piece; the parts were it otherwise.
    pub body: Option<Bytes>,
    /// Whether the answer was a stream of events.
    pub streamed: bool,
    /// When the first byte of the answer left for the client.
    pub first_byte_at: Option<Timestamp>,
    /// Every try in order, those that never got a connection included.
    pub attempts: Vec<Attempt>,
    /// What the answer used, as its provider counted it. Failed attempts have their own.
    pub usage: Option<Usage>,
    /// What all attempts cost together, where prices are configured.
    pub cost: Option<Cost>,
    /// What was not passed on as it came.
    pub changes: Vec<Change>,
    /// Of a streamed request, its size and digest.
    pub request: Option<Digest>,
}

/// Size and digest of bytes that were not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// How many there were.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// How a call ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client got a whole answer.
    Complete,
    /// No provider gave one; the client got an error, or half of an answer.
    UpstreamError,
    /// The gateway did not pass the request on.
    Rejected,
    /// The client went away first.
    ClientClosed,
    /// The process ended first, or the end could not be noted.
    Interrupted,
}

/// One try.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Whom it asked.
    pub target: Target,
    /// When it began.
    pub started_at: Timestamp,
    /// The status of the provider's answer, if it gave one.
    pub status: Option<u16>,
    /// What went wrong, in few words of our own.
    pub error: Option<Cow<'static, str>>,
    /// Milliseconds to the first byte of the body; of a stream, to its first event.
    pub first_byte_ms: Option<u64>,
    /// Milliseconds to its end.
    pub total_ms: u64,
    /// Bytes of its answer that were delivered to the client.
    pub delivered: u64,
    /// What it used, where the provider says so.
    pub usage: Option<Usage>,
}

/// Something that was not passed on as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// The provider was asked for the model by its own name.
    RequestModel,
    /// A stream was asked to report its usage.
    RequestUsage,
    /// The request was translated into the provider's format.
    RequestTranslated,
    /// A field of the request has no counterpart in the provider's format, and was left out or weakened.
    RequestField(Arc<str>),
    /// What a broken stream had delivered was given to the next target as a beginning.
    RequestContinued,
    /// The answer names the model that the client asked for.
    ResponseModel,
    /// The usage was taken out of a stream whose client did not ask for it.
    ResponseUsage,
    /// The answer was translated from the provider's format.
    ResponseTranslated,
    /// A malformed event was left out.
    ResponseEventDropped,
    /// A `[DONE]` was added to a stream whose choices had all finished.
    ResponseDoneAdded,
    /// Comments were sent while the provider was silent.
    ResponseKeptAlive,
    /// Another target went on where the first one broke off.
    ResponseContinued,
}

/// A request that was refused before it was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The id that the client was told.
    pub id: Ulid,
    /// When.
    pub at: Timestamp,
    /// The client.
    pub addr: Option<SocketAddr>,
    /// The method.
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// The status that it got.
    pub status: u16,
    /// Why, in a word of ours that does not depend on the client.
    pub reason: &'static str,
}

/// Keeps nothing (`durability: off`).
#[derive(Debug, Clone, Copy, Default)]
pub struct Discard;

// === impl Outcome ===

impl Outcome {
    /// The word used in records, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::UpstreamError => "upstream_error",
            Self::Rejected => "rejected",
            Self::ClientClosed => "client_closed",
            Self::Interrupted => "interrupted",
        }
    }
}

// === impl Change ===

impl Change {
    /// Whether it means that the provider did not get the client's bytes.
    #[must_use]
    pub const fn is_of_request(&self) -> bool {
        matches!(
            self,
            Self::RequestModel
                | Self::RequestUsage
                | Self::RequestTranslated
                | Self::RequestField(_)
                | Self::RequestContinued
        )
    }
}

impl fmt::Display for Change {
    /// The text used in records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestModel => "request: model",
            Self::RequestUsage => "request: stream_options.include_usage",
            Self::RequestTranslated => "request: translated",
            Self::RequestField(name) => return write!(f, "request: {name} not kept"),
            Self::RequestContinued => "request: continued",
            Self::ResponseModel => "response: model",
            Self::ResponseUsage => "response: usage removed",
            Self::ResponseTranslated => "response: translated",
            Self::ResponseEventDropped => "response: malformed event dropped",
            Self::ResponseDoneAdded => "response: [DONE] added",
            Self::ResponseKeptAlive => "response: keep-alive comments",
            Self::ResponseContinued => "response: continued by another target",
        })
    }
}

// === impl Discard ===

#[async_trait]
impl Ledger for Discard {
    async fn begin(&self, _begin: Begin) -> Result<Box<dyn Entry>, LedgerError> {
        Ok(Box::new(Self))
    }

    async fn answered(&self, _begin: Begin, _end: End) -> Result<(), LedgerError> {
        Ok(())
    }

    fn refused(&self, _refused: Refused) {}
}

#[async_trait]
impl Entry for Discard {
    async fn attempt(&mut self, _target: Target) -> Result<(), LedgerError> {
        Ok(())
    }

    fn part(&mut self, _delivered: &Bytes) {}

    async fn end(self: Box<Self>, _end: End) -> Result<(), LedgerError> {
        Ok(())
    }
}
