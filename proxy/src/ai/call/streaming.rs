//! The part of a turn in which a stream passes through, and how it ends.

use std::sync::Arc;

use bytes::Bytes;
use pingora::http::ResponseHeader;

use super::answer::{self, Served};
use super::asked;
use super::attempt::now;
use super::run::Call;
use super::turn::{Prepared, Turn};
use crate::ai::anthropic::{self, StreamTranslator};
use crate::ai::attempts::cooldown::Trial;
use crate::ai::errors::ApiError;
use crate::ai::ledger::Outcome;
use crate::ai::reading::{Assembler, Format};
use crate::ai::route::Endpoint;
use crate::ai::snapshot::Destination;
use crate::ai::stream::joint::Joint;
use crate::ai::stream::opening::Opened;
use crate::ai::stream::pump::Pump;
use crate::ai::stream::relay::{Ended, Pace, Relay};
use crate::ai::upstream::exchange::Upstream;
use crate::ai::upstream::veil::Veil;
use crate::config::ai::model::Midstream;

/// The longest text that another target can go on with.
const MAX_SAID: usize = 4 << 20;

impl Call<'_, '_> {
    /// Passes a stream on to its end.
    pub(super) async fn stream(
        &mut self,
        to: &Destination,
        prepared: &mut Prepared,
        (theirs, opened): (Box<ResponseHeader>, Box<Opened>),
        upstream: &mut Upstream,
        trial: Option<Trial>,
    ) -> Turn {
        self.record.streamed = true;
        if !self.may_continue() {
            self.forget_request(prepared);
        }
        let mut pump = self.pump(prepared, *opened);
        let header = self.client.sent.is_none().then(|| answer::streamed(&theirs, &prepared.target));
        drop(theirs);
        if let Some(header) = header {
            let Ok(header) = header else {
                return Turn::Served(Served::Cut);
            };
            if self.client.head(header, None).await.is_err() {
                return Turn::Served(self.answering().gone(200).await);
            }
        }
        let relay = Relay {
            client: self.client,
            record: self.record,
            upstream,
            pump: &mut pump,
            pace: Pace { idle: to.target.timeouts.idle, keep_alive: self.snapshot.config.keep_alive },
            ending: &self.desk.gateway.ending,
        };
        let ended = relay.run().await;
        self.record.changes.extend(pump.changes.iter().cloned());
        self.desk.gateway.metrics.ai.dropped(&to.target.provider.name, pump.dropped);
        self.record.usage = pump.usage();
        self.record.conclude(pump.usage(), why(ended));
        self.settle(to, trial, Some(outcome(ended)).filter(|_| ended != Ended::Parted));
        self.close_stream(to, ended, &mut pump).await
    }

    /// Nobody else will be asked: what was kept for that is let go.
    fn forget_request(&mut self, prepared: &mut Prepared) {
        prepared.outgoing.pieces = Vec::new();
        self.asked.body = Bytes::new();
        self.head.headers = Arc::default();
        self.kept = None;
    }

    fn pump(&mut self, prepared: &Prepared, opened: Opened) -> Pump {
        let endpoint = self.head.endpoint();
        let format = asked::answer_format(endpoint, prepared.dialect).unwrap_or(Format::Chat);
        let choices = self.asked.scan().map_or(1, |scan| usize::try_from(scan.choices).unwrap_or(1));
        let text = if self.may_continue() { MAX_SAID } else { 0 };
        let assembler = Assembler::new(format, choices, text);
        let mut pump = Pump::new(opened, assembler, format, prepared.outgoing.hide_usage);
        let translated = prepared.outgoing.translated.as_ref();
        if let Some(translated) = translated {
            pump = pump.translating(match self.said.as_ref().filter(|_| !prepared.anew) {
                Some(said) => {
                    let (id, model) = (said.identity.id.clone(), said.identity.model.clone());
                    let identity = anthropic::Identity { id, model };
                    let trimmed = translated.trimmed.clone();
                    StreamTranslator::resume(
                        identity,
                        trimmed,
                        said.identity.created,
                        translated.include_usage,
                    )
                }
                None => StreamTranslator::new(now(), translated.include_usage),
            });
        }
        if let Some(said) = self.said.take() {
            let hide_usage = !self.asked.scan().is_some_and(crate::ai::body::Scan::wants_usage);
            pump = pump.joining(Joint::new(said, prepared.anew, hide_usage));
        }
        pump
    }

    /// Whether another target may go on where this one breaks off: with plain text of one choice.
    fn may_continue(&self) -> bool {
        self.route.model.midstream == Midstream::Continue
            && self.head.endpoint() == Endpoint::Chat
            && self.asked.scan().is_some_and(|scan| scan.choices == 1 && !scan.tools)
    }

    /// Ends a stream: the record first, then what the client sees as its end.
    async fn close_stream(&mut self, to: &Destination, ended: Ended, pump: &mut Pump) -> Turn {
        let error = match ended {
            Ended::Gone | Ended::Slow => return Turn::Served(self.answering().gone(200).await),
            Ended::Stuck => return Turn::Served(self.answering().lost(Outcome::Interrupted, 200).await),
            Ended::Complete => return Turn::Served(self.complete(pump.held(), Outcome::Complete).await),
            Ended::Reported => None,
            // What broke off is the stream that this one could not go on with.
            Ended::Broken | Ended::Parted => Some(ApiError::upstream_failed()),
            Ended::Silent => Some(ApiError::upstream_timeout()),
            Ended::Senseless => Some(ApiError::upstream_malformed()),
            Ended::Ending => Some(ApiError::shutting_down()),
        };
        let last = match error {
            Some(error) => error.event(self.head.endpoint(), pump.next_sequence()).unwrap_or_default(),
            None => Veil::of(&to.target.provider).bytes(pump.held()),
        };
        if ended == Ended::Reported && self.head.endpoint() == Endpoint::Responses && pump.has_ended() {
            // `response.failed` is an end like others: clients read on to that of the stream.
            return Turn::Served(self.complete(last, outcome(ended)).await);
        }
        if matches!(ended, Ended::Broken | Ended::Silent | Ended::Reported) && self.may_continue() {
            self.said = pump.said();
            if self.said.is_some() {
                return Turn::Interrupted(last);
            }
        }
        Turn::Served(self.break_off(last, outcome(ended)).await)
    }

    /// Ends a stream as the provider does.
    async fn complete(&mut self, last: Bytes, outcome: Outcome) -> Served {
        self.record.delivered(&last);
        let sent = self.client.sent.clone().unwrap_or_default();
        let closed = self.record.close(self.head, &self.asked.body, outcome, (200, sent, None)).await;
        match closed {
            Ok(()) if self.client.finish(last).await.is_ok() => Served::Done,
            Ok(()) => Served::Cut,
            Err(error) => {
                let last = self.record.unrecorded(error).event(self.head.endpoint(), 0);
                self.cut(last.unwrap_or_default()).await
            }
        }
    }

    /// Ends a stream that is not whole, with an event that says so.
    pub(super) async fn break_off(&mut self, last: Bytes, outcome: Outcome) -> Served {
        self.record.delivered(&last);
        let sent = self.client.sent.clone().unwrap_or_default();
        let closed = self.record.close(self.head, &self.asked.body, outcome, (200, sent, None)).await;
        if let Err(error) = closed {
            tracing::error!(%error, "a call could not be recorded");
        }
        self.cut(last).await
    }

    /// Sends the last event of a stream without its end. On HTTP/2 a reset would discard the event,
    /// so that the stream ends, but without `[DONE]`.
    async fn cut(&mut self, last: Bytes) -> Served {
        if self.client.is_http2() && !last.is_empty() {
            return if self.client.finish(last).await.is_ok() { Served::Done } else { Served::Cut };
        }
        let _gone = self.client.write(last).await;
        Served::Cut
    }
}

/// How a call ends whose stream has ended so.
const fn outcome(ended: Ended) -> Outcome {
    match ended {
        Ended::Complete => Outcome::Complete,
        Ended::Reported | Ended::Broken | Ended::Silent | Ended::Senseless | Ended::Parted => {
            Outcome::UpstreamError
        }
        Ended::Gone | Ended::Slow => Outcome::ClientClosed,
        Ended::Ending | Ended::Stuck => Outcome::Interrupted,
    }
}

/// How an attempt failed whose stream has ended so.
const fn why(ended: Ended) -> Option<&'static str> {
    match ended {
        Ended::Complete => None,
        Ended::Reported => Some("error in stream"),
        Ended::Broken => Some("stream broken"),
        Ended::Silent => Some("stream stalled"),
        Ended::Senseless => Some("malformed stream"),
        Ended::Parted => Some("says something else"),
        Ended::Gone => Some("client closed"),
        Ended::Slow => Some("client too slow"),
        Ended::Ending | Ended::Stuck => Some("shutting down"),
    }
}
