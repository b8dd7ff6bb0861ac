//! One turn of a call: a target is asked once, and answers the client or fails.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
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
use crate::ai::snapshot::{Destination, Dialect};
use crate::ai::upstream::exchange::Upstream;
use crate::ai::upstream::head;

/// What a turn led to.
pub(super) enum Turn {
    /// The client has its answer.
    Served(Served),
    /// The target failed.
    Failed(Failure, Option<Box<Refused>>),
    /// The stream broke off in the middle, but another target can go on. If none does, this is how
    /// it ends.
    Interrupted(Bytes),
}

/// What a target will be asked.
pub(super) struct Prepared {
    pub(super) target: ledger::Target,
    pub(super) dialect: Dialect,
    pub(super) outgoing: Outgoing,
    /// Whether the target begins its answer anew, where another broke off.
    pub(super) anew: bool,
}

/// What the watch over an attempt saw first.
enum Watched<T> {
    Came(T),
    Gone,
    Ending,
}

impl Call<'_, '_> {
    /// Makes the request ready for a target.
    pub(super) fn prepare(&self, to: &Destination) -> Result<Prepared, ApiError> {
        let endpoint = self.head.endpoint();
        let dialect = Dialect::of(to.target.provider.kind, endpoint).unwrap_or(Dialect::Native);
        let said = self.said.as_ref().filter(|_| to.target.prefill);
        let goes_on_from = said.map(|said| said.text.as_str()).unwrap_or_default();
        let outgoing = self.asked.outgoing(endpoint, &to.target, dialect, goes_on_from)?;
        let anew = goes_on_from.is_empty();
        Ok(Prepared { target: self.target(to), dialect, outgoing, anew })
    }

    /// Asks a target, and answers the client if it answers.
    pub(super) async fn ask(&mut self, to: &Destination, prepared: &mut Prepared, trial: Trial) -> Turn {
        let endpoint = self.head.endpoint();
        self.record.changes.extend(prepared.outgoing.changes.iter().cloned());
        let Ok(request) = self.request(to, prepared).head(&to.target.provider) else {
            return Turn::Failed(Failure::Malformed, None);
        };
        let mut running = self.record.attempt(prepared.target.clone(), to.target.price);
        let mut slot = None;
        let watched = {
            let ask = Ask {
                desk: self.desk,
                to,
                head: self.head,
                request,
                body: &prepared.outgoing.pieces,
                stream: self.asked.streams(endpoint),
                format: asked::answer_format(endpoint, prepared.dialect),
                dialect: prepared.dialect,
                named: self.asked.model.is_some(),
                goes_on: self.said.is_some(),
                deadline: self.head.deadline.filter(|_| self.said.is_none()),
            };
            // Boxed: a stream that follows takes none of its room.
            let attempt = Box::pin(ask.run(&mut slot, &mut running));
            tokio::select! {
                biased;
                tried = attempt => Watched::Came(tried),
                Gone = self.client.gone() => Watched::Gone,
                () = self.desk.gateway.ending.cancelled() => Watched::Ending,
            }
        };
        match watched {
            Watched::Came(Tried::Failed(failure, refused)) => {
                self.failed(to, running, Some(trial), &failure, slot).await;
                Turn::Failed(failure, refused)
            }
            Watched::Came(tried) => {
                trial.begun();
                self.succeeded(to, prepared, running, tried, slot, Some(trial)).await
            }
            Watched::Gone => {
                self.given_up(running, "client closed", slot).await;
                Turn::Served(self.answering().gone(499).await)
            }
            Watched::Ending => {
                self.given_up(running, "shutting down", slot).await;
                Turn::Served(self.stop(&ApiError::shutting_down(), Outcome::Interrupted).await)
            }
        }
    }

    fn request<'r>(&'r self, to: &'r Destination, prepared: &'r Prepared) -> head::Outgoing<'r> {
        head::Outgoing {
            method: &self.head.method,
            path: &self.head.route.path,
            query: self.head.query.as_deref(),
            headers: &self.head.headers,
            endpoint: self.head.endpoint(),
            model: prepared.target.model.as_deref(),
            callers_key: self.head.callers_key.as_deref().filter(|_| to.target.provider.accepts_caller_key),
            dialect: prepared.dialect,
            length: Some(prepared.outgoing.length()),
        }
    }

    /// Notes a failed attempt; it counts for the target if there is a `trial`.
    pub(super) async fn failed(
        &mut self,
        to: &Destination,
        mut running: Box<Running>,
        trial: Option<Trial>,
        failure: &Failure,
        slot: Option<Box<Upstream>>,
    ) {
        running.failed(failure.as_str());
        self.record.add(*running);
        self.count_attempt();
        if let Some(trial) = trial.filter(|_| failure.counts(self.head.callers_key.is_some())) {
            self.blame(to, trial, failure.as_str());
        }
        // Any name may come by a pattern, and is not the operator's.
        let ours = self.head.callers_key.is_none() && self.route.model.pattern.is_none();
        if let Some(what) = failure.refused_of_ours().filter(|_| ours)
            && to.health.refused(what)
        {
            let (provider, model) = (&to.target.provider.name, &self.route.model.name);
            tracing::warn!(%provider, %model, "the provider refuses {what} of the configuration");
        }
        if let Some(upstream) = slot {
            upstream.release(&self.desk.client).await;
        }
    }

    /// Counts for a target how its answer has ended; what ended it may be nobody's fault there.
    pub(super) fn settle(&self, to: &Destination, trial: Option<Trial>, outcome: Option<Outcome>) {
        match trial.zip(outcome) {
            Some((trial, Outcome::Complete)) => trial.succeeded(),
            Some((trial, Outcome::UpstreamError)) => self.blame(to, trial, "broken off"),
            Some((_, Outcome::Rejected | Outcome::ClientClosed | Outcome::Interrupted)) | None => {}
        }
    }

    /// Counts a failure that is the target's fault.
    fn blame(&self, to: &Destination, trial: Trial, cause: &str) {
        if trial.failed(Instant::now(), &self.snapshot.config.cooldown) {
            let provider = &to.target.provider.name;
            let model = &self.route.model.name;
            tracing::warn!(%provider, %model, cause, "the target keeps failing and is left alone");
        }
    }

    async fn given_up(&mut self, mut running: Box<Running>, why: &'static str, slot: Option<Box<Upstream>>) {
        running.failed(why);
        self.record.add(*running);
        if let Some(upstream) = slot {
            upstream.release(&self.desk.client).await;
        }
    }

    pub(super) fn count_attempt(&self) {
        if let Some(attempt) = self.record.attempts.last() {
            let metrics = &self.desk.gateway.metrics.ai;
            metrics.attempt(&self.route.model.name, &attempt.target.provider, attempt);
        }
    }

    /// Answers the client, and gives the connection back.
    pub(super) async fn succeeded(
        &mut self,
        to: &Destination,
        prepared: &mut Prepared,
        mut running: Box<Running>,
        tried: Tried,
        slot: Option<Box<Upstream>>,
        trial: Option<Trial>,
    ) -> Turn {
        let Some(mut upstream) = slot else {
            return Turn::Served(self.stop(&ApiError::internal(), Outcome::UpstreamError).await);
        };
        let turn = match tried {
            Tried::Plain(theirs, body, usage) => {
                self.settle(to, trial, Some(Outcome::Complete));
                running.used(usage);
                self.record.add(*running);
                self.record.usage = usage;
                Turn::Served(match answer::passed(&theirs, &prepared.target) {
                    Ok(header) => self.answering().whole(header, body, Outcome::Complete).await,
                    Err(_) => Served::Cut,
                })
            }
            Tried::Pass(theirs, first) => {
                self.record.add(*running);
                let length = theirs.headers.get(CONTENT_LENGTH).cloned();
                let header = answer::passed(&theirs, &prepared.target).and_then(|mut header| {
                    length.map_or(Ok(()), |length| header.insert_header(CONTENT_LENGTH, length))?;
                    Ok(header)
                });
                let served = match header {
                    Ok(header) => {
                        let (idle, ending) = (to.target.timeouts.idle, &self.desk.gateway.ending);
                        // Boxed: streams, of which many are open for long, need no room for this.
                        Box::pin(self.answering().pass(header, first, &mut upstream, idle, ending)).await
                    }
                    Err(_) => Served::Cut,
                };
                self.settle(to, trial, self.record.outcome);
                self.record.conclude(None, None);
                Turn::Served(served)
            }
            Tried::Stream(theirs, opened) => {
                self.record.add(*running);
                self.stream(to, prepared, (theirs, opened), &mut upstream, trial).await
            }
            Tried::Failed(failure, refused) => Turn::Failed(failure, refused),
        };
        self.count_attempt();
        upstream.finish(&self.desk.client).await;
        turn
    }
}
