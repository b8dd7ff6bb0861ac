//! Goes through the targets of a model until one answers, the caller's time is over, or nobody is
//! left to be asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answer::{Answering, Served};
use super::asked::{Asked, Head};
use super::attempt::Refused;
use super::client::{Client, Gone};
use super::record::Record;
use super::turn::{Prepared, Turn};
use crate::ai::attempts::cooldown::Standing;
use crate::ai::attempts::course::{Course, Failure, Fault, Step};
use crate::ai::attempts::order;
use crate::ai::buffers::Reserved;
use crate::ai::errors::ApiError;
use crate::ai::gateway::Desk;
use crate::ai::ledger::{self, LedgerError, Outcome, RequestBody};
use crate::ai::snapshot::{Destination, Dialect, Route, Snapshot};
use crate::ai::stream::joint::Said;

/// A target by its index, and the context that it takes.
type Candidate = (usize, Option<u64>);

/// A call whose model is known.
pub(crate) struct Call<'c, 's> {
    pub(crate) desk: &'c Desk,
    pub(crate) snapshot: &'c Snapshot,
    pub(crate) route: &'c Route,
    pub(crate) head: &'c mut Head,
    pub(crate) asked: &'c mut Asked,
    /// The room that the body takes while it is kept for another attempt.
    pub(crate) kept: Option<Reserved>,
    pub(crate) client: &'c mut Client<'s>,
    pub(crate) record: &'c mut Record,
    /// What the client has of an answer that broke off, and that another target is to go on with.
    pub(crate) said: Option<Said>,
}

/// An attempt that came to nothing.
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) refused: Option<Box<Refused>>,
    pub(super) target: ledger::Target,
    pub(super) dialect: Dialect,
}

impl<'s> Call<'_, 's> {
    /// Makes the call, and answers the client.
    pub(crate) async fn run(mut self) -> Served {
        let (open, left_alone) = self.candidates();
        let policy = &self.snapshot.config.retry;
        let Some(mut course) = Course::new(open, left_alone, policy, self.head.callers_key.is_some()) else {
            let error = ApiError::model_not_served(self.record.model.as_deref().unwrap_or_default());
            return self.stop(&error, Outcome::Rejected).await;
        };
        let mut last = None;
        loop {
            if self.is_late() {
                return self.fail(Fault::TimedOut).await;
            }
            let Some(to) = self.route.targets.get(course.target()) else {
                return self.stop(&ApiError::internal(), Outcome::UpstreamError).await;
            };
            let mut prepared = match self.prepare(to) {
                Ok(prepared) => prepared,
                Err(_) if course.skip().is_some() => continue,
                Err(error) => return self.unable(&error, last).await,
            };
            let Some(trial) = to.health.attempt(Instant::now(), course.is_forced()) else {
                // Somebody else probes it, or it has begun to cool: it is asked all the same if nobody else is left.
                course.leave_alone();
                continue;
            };
            let kept = || RequestBody::Whole(self.asked.body.clone());
            if let Err(error) = self.record.contact(self.head, kept, &prepared.target).await {
                return self.unrecorded(error).await;
            }
            course.asked();
            let next = match self.ask(to, &mut prepared, trial).await {
                Turn::Served(served) => return served,
                Turn::Interrupted(last) if course.take_over().is_none() => {
                    return self.break_off(last, Outcome::UpstreamError).await;
                }
                Turn::Interrupted(_) => Duration::ZERO,
                Turn::Failed(failure, refused) => {
                    let step = self.follow(&mut course, &failure);
                    let Prepared { target, dialect, .. } = prepared;
                    let failed = Box::new(Failed { failure, refused, target, dialect });
                    match step {
                        Step::Ask(_, wait) => {
                            last = Some(failed);
                            wait
                        }
                        end => return self.end(end, *failed).await,
                    }
                }
            };
            if let Some(served) = self.wait(next).await {
                return served;
            }
        }
    }

    /// What follows on a failure.
    fn follow(&self, course: &mut Course<'_>, failure: &Failure) -> Step {
        if self.said.is_none() {
            return course.after(failure, self.head.left(), rand::random());
        }
        // Whatever it is: the client has half of an answer.
        course.take_over().map_or(Step::Fail(Fault::Broken), |index| Step::Ask(index, Duration::ZERO))
    }

    /// Ends a call whose last attempt has failed.
    pub(super) async fn end(&mut self, end: Step, failed: Failed) -> Served {
        match (end, failed.refused) {
            (Step::Relay, Some(refused)) => {
                let native = failed.dialect == Dialect::Native;
                self.answering().relay(*refused, &failed.target, native).await
            }
            (Step::Fail(fault), _) => self.fail(fault).await,
            (Step::Relay | Step::Ask(..), _) => self.fail(Fault::Broken).await,
        }
    }

    /// Nobody who is left speaks what the request asks for. If somebody else was asked, that is told instead: it may be
    /// another matter the next time.
    async fn unable(&mut self, error: &ApiError, last: Option<Box<Failed>>) -> Served {
        match last {
            _ if self.said.is_some() => self.fail(Fault::Broken).await,
            Some(last) => self.end(last.failure.end(self.head.callers_key.is_some()), *last).await,
            None => self.stop(error, Outcome::Rejected).await,
        }
    }

    /// Whether the caller waits no more for an answer to begin.
    fn is_late(&self) -> bool {
        self.said.is_none() && self.head.left().is_some_and(|left| left.is_zero())
    }

    /// The targets that may be asked, in order, as their index and the context that they take; and those that are left
    /// alone at the moment, beginning with the one that failed longest ago.
    fn candidates(&self) -> (Vec<Candidate>, Vec<Candidate>) {
        let targets = &self.route.targets;
        let order =
            order::of(targets.iter().map(|to| &*to.target), self.route.model.strategy, &mut rand::rng());
        let able = order.into_iter().filter_map(|index| Some((index, targets.get(index)?)));
        let now = Instant::now();
        let (mut open, mut cooling) = (Vec::new(), Vec::new());
        for (index, to) in able.filter(|(_, to)| self.may_ask(to)) {
            let candidate = (index, to.target.context_window);
            match to.health.standing(now) {
                Standing::Cooling(since) => cooling.push((since, candidate)),
                Standing::Open | Standing::ToProbe => open.push(candidate),
            }
        }
        cooling.sort_by_key(|(since, _)| *since);
        (open, cooling.into_iter().map(|(_, candidate)| candidate).collect())
    }

    /// Whether a target speaks to this endpoint, and may have the caller's key where it is to.
    pub(super) fn may_ask(&self, to: &Destination) -> bool {
        let provider = &to.target.provider;
        Dialect::of(provider.kind, self.head.endpoint()).is_some()
            && (self.head.callers_key.is_none() || provider.accepts_caller_key)
    }

    pub(super) fn target(&self, to: &Destination) -> ledger::Target {
        let model = to.target.model.clone();
        let model = model.or_else(|| self.asked.model.as_deref().map(Into::into));
        ledger::Target { provider: Arc::clone(&to.target.provider.name), model }
    }

    /// Waits before the next attempt; ends the call if the client or the process does not.
    async fn wait(&mut self, wait: Duration) -> Option<Served> {
        if wait.is_zero() {
            return None;
        }
        tokio::select! {
            biased;
            () = sleep(wait) => None,
            Gone = self.client.gone() => Some(self.answering().gone(499).await),
            () = self.desk.gateway.ending.cancelled() => {
                Some(self.stop(&ApiError::shutting_down(), Outcome::Interrupted).await)
            }
        }
    }

    pub(super) async fn fail(&mut self, fault: Fault) -> Served {
        let error = match fault {
            Fault::Unreachable => ApiError::unreachable(),
            Fault::Broken => ApiError::upstream_failed(),
            Fault::TimedOut => ApiError::upstream_timeout(),
            Fault::Malformed => ApiError::upstream_malformed(),
            Fault::Credentials => {
                let providers = self.providers();
                tracing::error!(
                    model = %self.route.model.name, providers, "no provider accepts the gateway's credentials"
                );
                ApiError::provider_auth()
            }
            Fault::UnknownModel => {
                let providers = self.providers();
                tracing::error!(model = %self.route.model.name, providers, "no provider knows the model");
                ApiError::model_not_found(self.record.model.as_deref().unwrap_or_default())
            }
        };
        self.stop(&error, Outcome::UpstreamError).await
    }

    /// Those of the model, for the log.
    fn providers(&self) -> String {
        let names = self.route.targets.iter().map(|to| &*to.target.provider.name);
        names.collect::<Vec<_>>().join(", ")
    }

    /// Tells an error of ours: as an answer, or within the stream that has begun.
    pub(super) async fn stop(&mut self, error: &ApiError, outcome: Outcome) -> Served {
        if self.client.sent.is_none() {
            return Box::pin(self.answering().refuse(error, outcome)).await;
        }
        let last = error.event(self.head.endpoint(), 0).unwrap_or_default();
        self.break_off(last, outcome).await
    }

    /// Nothing can be recorded, so nothing is done.
    pub(super) async fn unrecorded(&mut self, error: LedgerError) -> Served {
        if self.client.sent.is_none() {
            return Box::pin(self.answering().unrecorded(error)).await;
        }
        let error = self.record.unrecorded(error);
        let last = error.event(self.head.endpoint(), 0).unwrap_or_default();
        self.break_off(last, Outcome::UpstreamError).await
    }

    pub(super) fn answering(&mut self) -> Answering<'_, 's> {
        Answering {
            client: self.client,
            record: self.record,
            head: self.head,
            body: &self.asked.body,
            metrics: &self.desk.gateway.metrics.ai,
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
