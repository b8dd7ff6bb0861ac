//! Asks one target once, up to where the client could be answered: a whole plain answer, the first
//! event of a stream, or the head of what passes through piece by piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use jiff::Timestamp;
use pingora::http::{RequestHeader, ResponseHeader};
use tokio::time::{Instant, timeout, timeout_at};

use super::asked::Head;
use super::record::Running;
use crate::ai::anthropic::translate_answer;
use crate::ai::attempts::answer::{Meaning, Refusal};
use crate::ai::attempts::course::Failure;
use crate::ai::attempts::retry_after;
use crate::ai::gateway::Desk;
use crate::ai::reading::{Answer, Format, ProviderError, Usage};
use crate::ai::route::Endpoint;
use crate::ai::snapshot::{Destination, Dialect};
use crate::ai::stream::opening::{self, NotOpened, Opened};
use crate::ai::upstream::exchange::{ExchangeError, Upstream};
use crate::ai::upstream::veil::Veil;
use crate::media_type;

/// A plain answer up to this size is read whole, and understood.
const MAX_PLAIN: usize = 16 << 20;

/// Of an error this much is read.
const MAX_ERROR: usize = 1 << 20;

/// What came of an attempt.
pub(crate) enum Tried {
    /// A stream, whose first event has come.
    Stream(Box<ResponseHeader>, Box<Opened>),
    /// A whole answer.
    Plain(Box<ResponseHeader>, Bytes, Option<Usage>),
    /// An answer that passes through, with what has come of it.
    Pass(Box<ResponseHeader>, Vec<Bytes>),
    /// Nothing.
    Failed(Failure, Option<Box<Refused>>),
}

/// An answer that says no.
pub(crate) struct Refused {
    pub(crate) header: Box<ResponseHeader>,
    pub(crate) body: Bytes,
    pub(crate) error: ProviderError,
    pub(crate) refusal: Refusal,
}

/// What a target is asked.
pub(crate) struct Ask<'a> {
    pub(crate) desk: &'a Desk,
    pub(crate) to: &'a Destination,
    pub(crate) head: &'a Head,
    /// The head as the provider gets it.
    pub(crate) request: RequestHeader,
    /// The body as the provider gets it.
    pub(crate) body: &'a [Bytes],
    pub(crate) stream: bool,
    /// The format of the answer, if it is one that is understood.
    pub(crate) format: Option<Format>,
    /// How the provider is spoken to.
    pub(crate) dialect: Dialect,
    /// Whether a model was asked for.
    pub(crate) named: bool,
    /// Whether the answer goes on with a stream of which the client has a part.
    pub(crate) goes_on: bool,
    /// When the caller gives up, where it still waits for a first byte.
    pub(crate) deadline: Option<Instant>,
}

impl Ask<'_> {
    /// Asks. What is left in `slot` is the connection that the answer comes by, whatever becomes of
    /// this future: it must be released.
    pub(crate) async fn run(&self, slot: &mut Option<Box<Upstream>>, running: &mut Running) -> Tried {
        // The time of a plain call includes its connection; that of a first event begins with it.
        let connect = if self.stream { self.to.target.timeouts.connect } else { Duration::ZERO };
        let until = Instant::now() + connect + self.patience();
        let (until, late) = match self.deadline {
            Some(deadline) if deadline < until => (deadline, Failure::CallerTimeout),
            _ => (until, Failure::Timeout),
        };
        match timeout_at(until, self.exchange(slot, running)).await {
            Ok(Ok(tried)) => tried,
            Ok(Err(error)) => Tried::Failed(failure(error), None),
            Err(_) => Tried::Failed(late, None),
        }
    }

    async fn exchange(
        &self,
        slot: &mut Option<Box<Upstream>>,
        running: &mut Running,
    ) -> Result<Tried, ExchangeError> {
        let mut fresh = false;
        loop {
            // Boxed: the wait for an answer, which may be long, takes none of its room.
            let connected = Box::pin(self.desk.client.connect(self.to, fresh)).await?;
            let asked = timeout(self.patience(), self.ask(slot.insert(connected), running));
            let answered = asked.await.unwrap_or(Err(ExchangeError::Silent));
            // A pooled connection that the provider had closed costs no attempt.
            if !matches!(answered, Err(ExchangeError::Stale)) || fresh {
                return answered;
            }
            fresh = true;
            self.desk.gateway.metrics.ai.stale(&self.to.target.provider.name);
            if let Some(stale) = slot.take() {
                stale.release(&self.desk.client).await;
            }
        }
    }

    /// How long the provider may take to a first event or a whole answer, once it is connected to.
    fn patience(&self) -> Duration {
        let timeouts = &self.to.target.timeouts;
        if self.stream { timeouts.first_event } else { timeouts.total }
    }

    /// Sends the request and reads the answer.
    async fn ask(&self, upstream: &mut Upstream, running: &mut Running) -> Result<Tried, ExchangeError> {
        upstream.send(self.request.clone(), self.body).await?;
        let header = upstream.read_head().await?;
        self.understand(header, upstream, running).await
    }

    /// What an answer is, by its head.
    pub(crate) async fn understand(
        &self,
        header: Box<ResponseHeader>,
        upstream: &mut Upstream,
        running: &mut Running,
    ) -> Result<Tried, ExchangeError> {
        let status = header.status.as_u16();
        running.status(status);
        if status >= 400 {
            let (body, _) = read(upstream, MAX_ERROR).await?;
            running.first_byte();
            return Ok(self.refused(header, body));
        }
        let of = |name| header.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let is = |name, text: &str| {
            of(name).is_some_and(|value| value.trim().to_ascii_lowercase().starts_with(text))
        };
        let coded = header.headers.contains_key(CONTENT_ENCODING) && !is(CONTENT_ENCODING, "identity");
        if coded && self.dialect != Dialect::Native {
            // It was asked not to, and what can't be read can't be translated.
            return Err(ExchangeError::Malformed);
        }
        let events = of(CONTENT_TYPE).is_some_and(media_type::is_events);
        if self.goes_on && (coded || !events || !(200..300).contains(&status)) {
            // Nothing else has a place within a stream.
            return Err(ExchangeError::Malformed);
        }
        if self.head.endpoint() == Endpoint::Raw || coded || !(200..300).contains(&status) {
            return Ok(Tried::Pass(header, Vec::new()));
        }
        if self.stream && events {
            return Ok(self.opened(header, upstream, running).await);
        }
        if self.format.is_none() && !is(CONTENT_TYPE, "application/json") {
            return Ok(Tried::Pass(header, Vec::new()));
        }
        let (body, whole) = read(upstream, MAX_PLAIN).await?;
        running.first_byte();
        if !whole && !self.stream {
            return Ok(Tried::Pass(header, vec![body]));
        }
        Ok(self.plain(header, body))
    }

    async fn opened(
        &self,
        header: Box<ResponseHeader>,
        upstream: &mut Upstream,
        running: &mut Running,
    ) -> Tried {
        match opening::open(upstream).await {
            Ok(opened) => {
                running.first_byte();
                Tried::Stream(header, Box::new(opened))
            }
            Err(NotOpened::Error(error)) => {
                let refusal = Refusal::of(&error, None);
                running.status(refusal.status);
                self.says_no(header, Bytes::new(), error, refusal)
            }
            Err(NotOpened::Broke(error)) => Tried::Failed(failure(error), None),
            Err(NotOpened::Empty) => Tried::Failed(Failure::Reset, None),
            Err(NotOpened::Senseless) => Tried::Failed(Failure::Malformed, None),
        }
    }

    fn plain(&self, header: Box<ResponseHeader>, body: Bytes) -> Tried {
        let Some(format) = self.format else { return Tried::Plain(header, body, None) };
        match Answer::read(format, &body) {
            Some(Answer { error: Some(error), .. }) => {
                let refusal = Refusal::of(&error, None);
                self.says_no(header, body, error, refusal)
            }
            // Instead of a stream, it would look like one without any event.
            Some(_) if self.stream => Tried::Failed(Failure::Malformed, None),
            Some(answer) => match self.translated(body) {
                Some(body) => Tried::Plain(header, body, answer.usage),
                None => Tried::Failed(Failure::Malformed, None),
            },
            None => Tried::Failed(Failure::Malformed, None),
        }
    }

    /// A plain answer as the client understands it.
    fn translated(&self, body: Bytes) -> Option<Bytes> {
        match self.dialect {
            Dialect::Native => Some(body),
            Dialect::ChatToMessages => translate_answer(&body, now()).ok().map(Bytes::from),
        }
    }

    fn refused(&self, header: Box<ResponseHeader>, body: Bytes) -> Tried {
        let wait = retry_after::of(&header.headers, Timestamp::now());
        let error = ProviderError::read(header.status.as_u16(), &body);
        let refusal = Refusal::of(&error, wait);
        self.says_no(header, body, error, refusal)
    }

    /// A refusal, whose words may repeat our key.
    fn says_no(
        &self,
        header: Box<ResponseHeader>,
        body: Bytes,
        error: ProviderError,
        mut refusal: Refusal,
    ) -> Tried {
        if refusal.meaning == Meaning::UnknownModel && !self.named {
            // It is something else that the provider does not know.
            refusal.meaning = Meaning::Other;
        }
        let veil = Veil::of(&self.to.target.provider);
        let error = ProviderError { message: veil.text(error.message), ..error };
        let refused = Refused { header, body: veil.bytes(body), error, refusal: refusal.clone() };
        Tried::Failed(Failure::Refused(refusal), Some(Box::new(refused)))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// Reads up to `most` bytes, and whether that was all.
async fn read(upstream: &mut Upstream, most: usize) -> Result<(Bytes, bool), ExchangeError> {
    let Some(first) = upstream.read().await? else { return Ok((Bytes::new(), true)) };
    let mut all = first;
    let mut joined = BytesMut::new();
    while let Some(next) = upstream.read().await? {
        if joined.is_empty() {
            joined = BytesMut::from(all);
            all = Bytes::new();
        }
        joined.extend_from_slice(&next);
        if joined.len() > most {
            return Ok((joined.freeze(), false));
        }
    }
    Ok((if joined.is_empty() { all } else { joined.freeze() }, true))
}

fn failure(error: ExchangeError) -> Failure {
    match error {
        ExchangeError::Connect => Failure::Connect,
        ExchangeError::ConnectTimeout | ExchangeError::Silent => Failure::Timeout,
        ExchangeError::Stale | ExchangeError::Reset => Failure::Reset,
        ExchangeError::Malformed => Failure::Malformed,
    }
}
