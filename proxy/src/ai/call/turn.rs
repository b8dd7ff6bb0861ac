//! One turn of a call: a target is asked once, and answers the client or fails.

use tokio::time::Instant;

use super::answer::{self, Served};
use super::asked::{self, Outgoing};
use super::attempt::{Ask, Refused, Tried};
use super::client::Gone;
use super::record::Running;
use super::run::Call;
use crate::ai::attempts::cooldown::Trial;
use crate::ai::attempts::course::Failure;
use crate::ai::errors::ApiError;
use crate::ai::ledger::{self, Outcome};
use crate::ai::reading::{Assembler, Format};
use crate::ai::snapshot::{Destination, Dialect};
use crate::ai::stream::opening::Opened;
use crate::ai::stream::pump::Pump;
use crate::ai::stream::relay::{Ended, Pace, Relay};
use crate::ai::upstream::exchange::Upstream;
use crate::ai::upstream::head;

/// What a turn led to.
pub(super) enum Turn {
    /// The client has its answer.
    Served(Served),
    /// The target failed.
    Failed(Failure, Option<Box<Refused>>),
}

/// What the watch over an attempt saw first.
enum Watched<T> {
    Came(T),
    Gone,
    Ending,
}

impl Call<'_, '_> {
    /// Asks a target, and answers the client if it answers.
    pub(super) async fn ask(&mut self, to: &Destination, target: &ledger::Target, trial: Trial) -> Turn {
        let endpoint = self.head.endpoint();
        let dialect = Dialect::Native;
        let outgoing = self.asked.native(endpoint, &to.target);
        self.record.changes.extend(outgoing.changes.iter().copied());
        let request = self.request(to, target, dialect, &outgoing);
        let Ok(request) = request.head(&to.target.provider) else {
            return Turn::Failed(Failure::Malformed, None);
        };
        let ask = Ask {
            desk: self.desk,
            to,
            head: self.head,
            request,
            body: &outgoing.pieces,
            stream: self.asked.streams(endpoint),
            format: asked::answer_format(endpoint, dialect),
        };
        let mut running = self.record.attempt(target.clone(), to.target.price);
        let mut slot = None;
        let watched = tokio::select! {
            biased;
            tried = ask.run(&mut slot, &mut running) => Watched::Came(tried),
            Gone = self.client.gone() => Watched::Gone,
            () = self.desk.gateway.ending.cancelled() => Watched::Ending,
        };
        match watched {
            Watched::Came(Tried::Failed(failure, refused)) => {
                self.failed(to, running, trial, &failure, slot).await;
                Turn::Failed(failure, refused)
            }
            Watched::Came(tried) => {
                trial.succeeded();
                Turn::Served(self.succeeded(to, target, running, tried, slot, outgoing.hide_usage).await)
            }
            Watched::Gone => {
                self.given_up(running, "client closed", slot).await;
                Turn::Served(self.answering().gone(499).await)
            }
            Watched::Ending => {
                self.given_up(running, "shutting down", slot).await;
                let error = ApiError::shutting_down();
                Turn::Served(self.answering().refuse(&error, Outcome::Interrupted).await)
            }
        }
    }

    fn request<'r>(
        &'r self,
        to: &'r Destination,
        target: &'r ledger::Target,
        dialect: Dialect,
        outgoing: &Outgoing,
    ) -> head::Outgoing<'r> {
        head::Outgoing {
            method: &self.head.method,
            path: &self.head.route.path,
            query: self.head.query.as_deref(),
            headers: &self.head.headers,
            endpoint: self.head.endpoint(),
            model: target.model.as_deref(),
            callers_key: self.head.callers_key.as_deref().filter(|_| to.target.provider.accepts_caller_key),
            dialect,
            length: Some(outgoing.length()),
        }
    }

    async fn failed(
        &mut self,
        to: &Destination,
        mut running: Running,
        trial: Trial,
        failure: &Failure,
        slot: Option<Upstream>,
    ) {
        running.failed(failure.as_str());
        self.record.add(running);
        self.count_attempt();
        let now = Instant::now();
        if !failure.counts() {
            // It answered, which is what a probe is to find out.
            if matches!(failure, Failure::Refused(_)) {
                trial.succeeded();
            }
        } else if trial.failed(now, &self.snapshot.config.cooldown) {
            let provider = &to.target.provider.name;
            tracing::warn!(%provider, model = %self.route.model.name, "the target keeps failing and is left alone");
        }
        if let Some(upstream) = slot {
            upstream.release(&self.desk.client).await;
        }
    }

    async fn given_up(&mut self, mut running: Running, why: &'static str, slot: Option<Upstream>) {
        running.failed(why);
        self.record.add(running);
        if let Some(upstream) = slot {
            upstream.release(&self.desk.client).await;
        }
    }

    fn count_attempt(&self) {
        if let Some(attempt) = self.record.attempts.last() {
            let metrics = &self.desk.gateway.metrics.ai;
            metrics.attempt(&self.route.model.name, &attempt.target.provider, attempt);
        }
    }

    pub(super) async fn succeeded(
        &mut self,
        to: &Destination,
        target: &ledger::Target,
        mut running: Running,
        tried: Tried,
        slot: Option<Upstream>,
        hide_usage: bool,
    ) -> Served {
        let Some(mut upstream) = slot else {
            return self.answering().refuse(&ApiError::internal(), Outcome::UpstreamError).await;
        };
        let served = match tried {
            Tried::Plain(theirs, body, usage) => {
                running.used(usage);
                self.record.add(running);
                self.count_attempt();
                self.record.usage = usage;
                match answer::passed(&theirs, target) {
                    Ok(header) => self.answering().whole(header, body, Outcome::Complete).await,
                    Err(_) => Served::Cut,
                }
            }
            Tried::Pass(theirs, first) => {
                let began = running.began();
                self.record.add(running);
                let length = theirs.headers.get(http::header::CONTENT_LENGTH).cloned();
                let header = answer::passed(&theirs, target).and_then(|mut header| {
                    if let Some(length) = length {
                        header.insert_header(http::header::CONTENT_LENGTH, length)?;
                    }
                    Ok(header)
                });
                let Ok(header) = header else { return Served::Cut };
                let served = self.answering().pass(header, first, &mut upstream).await;
                self.record.conclude(began, None, None);
                self.count_attempt();
                served
            }
            Tried::Stream(theirs, opened) => {
                let began = running.began();
                self.record.add(running);
                self.record.streamed = true;
                let header = answer::streamed(&theirs, target);
                let served = match header {
                    Ok(header) => self.stream(to, header, *opened, &mut upstream, hide_usage, began).await,
                    Err(_) => Served::Cut,
                };
                self.count_attempt();
                served
            }
            Tried::Failed(..) => Served::Cut,
        };
        upstream.finish(&self.desk.client).await;
        served
    }

    async fn stream(
        &mut self,
        to: &Destination,
        header: pingora::http::ResponseHeader,
        opened: Opened,
        upstream: &mut Upstream,
        hide_usage: bool,
        began: Instant,
    ) -> Served {
        let format = asked::stream_format(self.head.endpoint()).unwrap_or(Format::Chat);
        let choices = self.asked.scan().map_or(1, |scan| scan.choices);
        let choices = usize::try_from(choices).unwrap_or(1);
        let mut pump = Pump::new(opened, Assembler::new(format, choices, 0), format, hide_usage);
        let status = header.status.as_u16();
        if self.client.head(header, None).await.is_err() {
            return self.answering().gone(status).await;
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
        self.record.changes.extend(pump.changes.iter().copied());
        self.record.usage = pump.usage();
        let error = match ended {
            Ended::Complete => None,
            Ended::Reported => Some("error in stream"),
            Ended::Broken => Some("stream broken"),
            Ended::Silent => Some("stream stalled"),
            Ended::Senseless => Some("malformed answer"),
            Ended::Gone => Some("client closed"),
            Ended::Ending => Some("shutting down"),
        };
        self.record.conclude(began, pump.usage(), error);
        self.close_stream(ended, &mut pump, status).await
    }

    /// Ends a stream: the record first, then what the client sees as its end.
    async fn close_stream(&mut self, ended: Ended, pump: &mut Pump, status: u16) -> Served {
        let (outcome, error) = match ended {
            Ended::Gone => return self.answering().gone(status).await,
            Ended::Complete => (Outcome::Complete, None),
            Ended::Reported => (Outcome::UpstreamError, None),
            Ended::Broken => (Outcome::UpstreamError, Some(ApiError::upstream_failed())),
            Ended::Silent => (Outcome::UpstreamError, Some(ApiError::upstream_timeout())),
            Ended::Senseless => (Outcome::UpstreamError, Some(ApiError::upstream_malformed())),
            Ended::Ending => (Outcome::Interrupted, Some(ApiError::shutting_down())),
        };
        let endpoint = self.head.endpoint();
        let sequence = pump.next_sequence();
        let in_band = |error: &ApiError| error.event(endpoint, sequence).unwrap_or_default();
        let mut last = error.as_ref().map(in_band).unwrap_or_default();
        let unrecorded = |error| in_band(&ApiError::unrecorded(error));
        if error.is_none() {
            last = pump.held();
        }
        self.record.delivered(&last);
        let sent = self.client.sent.clone().unwrap_or_default();
        let closed = self.record.close(self.head, &self.asked.body, outcome, (status, sent, None)).await;
        let mut whole = outcome == Outcome::Complete;
        if let Err(error) = closed {
            tracing::error!(%error, "a call could not be recorded");
            last = unrecorded(error);
            whole = false;
        }
        // On HTTP/2 a reset would discard the error: it gets a clean end, but no `[DONE]`.
        let clean = whole || (self.client.is_http2() && !last.is_empty());
        let sent = if clean { self.client.finish(last).await } else { self.client.write(last).await };
        if clean && sent.is_ok() { Served::Done } else { Served::Cut }
    }
}
