//! Goes through the targets of a model until one answers, the caller's time is over, or nobody is
//! left to be asked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::answer::{Answering, Served};
use super::asked::{Asked, Head};
use super::client::{Client, Gone};
use super::record::Record;
use super::turn::Turn;
use crate::ai::attempts::cooldown::Standing;
use crate::ai::attempts::course::{Course, Fault, Step};
use crate::ai::attempts::order;
use crate::ai::errors::ApiError;
use crate::ai::gateway::Desk;
use crate::ai::ledger::{self, Outcome, RequestBody};
use crate::ai::snapshot::{Destination, Dialect, Route, Snapshot};

/// A call whose model is known.
pub(crate) struct Call<'c, 's> {
    pub(crate) desk: &'c Desk,
    pub(crate) snapshot: &'c Snapshot,
    pub(crate) route: &'c Route,
    pub(crate) head: &'c Head,
    pub(crate) asked: &'c Asked,
    pub(crate) client: &'c mut Client<'s>,
    pub(crate) record: &'c mut Record,
}

impl<'s> Call<'_, 's> {
    /// Makes the call, and answers the client.
    pub(crate) async fn run(mut self) -> Served {
        let (candidates, mut forced) = self.candidates();
        let policy = &self.snapshot.config.retry;
        let Some(mut course) = Course::new(candidates, policy, self.head.callers_key.is_some()) else {
            let error = ApiError::model_not_served(self.record.model.as_deref().unwrap_or_default());
            return self.answering().refuse(&error, Outcome::Rejected).await;
        };
        loop {
            let Some(to) = self.route.targets.get(course.target()) else {
                return self.answering().refuse(&ApiError::internal(), Outcome::UpstreamError).await;
            };
            let Some(trial) = to.health.attempt(Instant::now(), forced) else {
                // Somebody else probes it. If all are probed, this one is asked all the same.
                forced = course.skip().is_none();
                continue;
            };
            let target = self.target(to);
            let body = &self.asked.body;
            let kept = || RequestBody::Whole(body.clone());
            if let Err(error) = self.record.contact(self.head, kept, &target).await {
                tracing::error!(%error, "a call could not be recorded");
                return self.unrecorded(&ApiError::unrecorded(error)).await;
            }
            course.asked();
            let step = match self.ask(to, &target, trial).await {
                Turn::Served(served) => return served,
                Turn::Failed(failure, refused) => {
                    let step = course.after(&failure, self.head.left(), rand::random());
                    match (step, refused) {
                        (Step::Ask(_, wait), _) => wait,
                        (Step::Relay, Some(refused)) => {
                            let native = Dialect::of(to.target.provider.kind, self.head.endpoint())
                                == Some(Dialect::Native);
                            return self.answering().relay(*refused, &target, native).await;
                        }
                        (Step::Relay, None) => return self.fail(Fault::Broken).await,
                        (Step::Fail(fault), _) => return self.fail(fault).await,
                    }
                }
            };
            if let Some(served) = self.wait(step).await {
                return served;
            }
        }
    }

    /// The targets that may be asked, in order, and whether all of them are left alone at the moment:
    /// then the one that failed longest ago is asked.
    fn candidates(&self) -> (Vec<(usize, Option<u64>)>, bool) {
        let targets = &self.route.targets;
        let order =
            order::of(targets.iter().map(|to| &*to.target), self.route.model.strategy, &mut rand::rng());
        let able = order.into_iter().filter_map(|index| Some((index, targets.get(index)?)));
        let able: Vec<_> = able.filter(|(_, to)| self.may_ask(to)).collect();
        let now = Instant::now();
        let window = |(index, to): &(usize, &Destination)| (*index, to.target.context_window);
        let standing: Vec<_> = able.iter().map(|(_, to)| to.health.standing(now)).collect();
        let open =
            able.iter().zip(&standing).filter(|(_, standing)| !matches!(standing, Standing::Cooling(_)));
        let open: Vec<_> = open.map(|(to, _)| window(to)).collect();
        if !open.is_empty() {
            return (open, false);
        }
        let since = |standing: &Standing| match standing {
            Standing::Cooling(since) => Some(*since),
            Standing::Open | Standing::ToProbe => None,
        };
        let oldest = able.iter().zip(&standing).min_by_key(|(_, standing)| since(standing));
        (oldest.map(|(to, _)| window(to)).into_iter().collect(), true)
    }

    /// Whether a target speaks to this endpoint, and may have the caller's key where it is to.
    pub(super) fn may_ask(&self, to: &Destination) -> bool {
        let provider = &to.target.provider;
        Dialect::of(provider.kind, self.head.endpoint()).is_some_and(|dialect| dialect == Dialect::Native)
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
                let error = ApiError::shutting_down();
                Some(self.answering().refuse(&error, Outcome::Interrupted).await)
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
                tracing::error!(model = %self.route.model.name, "no provider accepts the gateway's credentials");
                ApiError::provider_auth()
            }
            Fault::UnknownModel => {
                tracing::error!(model = %self.route.model.name, "no provider knows the model");
                ApiError::model_not_found(self.record.model.as_deref().unwrap_or_default())
            }
        };
        self.answering().refuse(&error, Outcome::UpstreamError).await
    }

    /// Nothing can be recorded, so nothing is.
    pub(super) async fn unrecorded(&mut self, error: &ApiError) -> Served {
        self.record.outcome = Some(Outcome::Rejected);
        match self.client.refuse(error, self.head.endpoint()).await {
            Ok(()) => Served::Done,
            Err(Gone) => Served::Cut,
        }
    }

    pub(super) fn answering(&mut self) -> Answering<'_, 's> {
        Answering { client: self.client, record: self.record, head: self.head, body: &self.asked.body }
    }
}
