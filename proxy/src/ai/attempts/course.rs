//! What follows on a failed attempt, as the table of the design says.

use std::time::Duration;

use super::answer::{Meaning, Refusal};
use crate::config::ai::model::Retry;

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect,
    /// The connection broke before the answer.
    Reset,
    /// Nothing came in time.
    Timeout,
    /// Nothing came before the caller's own time was over.
    CallerTimeout,
    /// Something came that is no answer.
    Malformed,
    /// The provider refused.
    Refused(Refusal),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask the target with this index, after a wait.
    Ask(usize, Duration),
    /// Give the client the provider's refusal.
    Relay,
    /// Give the client an error of our own.
    Fail(Fault),
}

/// Why there is no answer to relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No provider could be connected to.
    Unreachable,
    /// The connection broke.
    Broken,
    /// Nothing came in time.
    TimedOut,
    /// What came is no answer.
    Malformed,
    /// The provider does not accept our credentials.
    Credentials,
    /// The provider does not know the model.
    UnknownModel,
}

/// One call's way through the targets of its model.
#[derive(Debug)]
pub struct Course<'c> {
    /// Targets that may be asked, in order.
    order: Vec<Candidate>,
    /// The one that is asked, as a place in `order`.
    at: usize,
    /// Attempts on it.
    here: u32,
    /// Attempts in all.
    total: u32,
    policy: &'c Retry,
    /// Whether it is the caller's own key that providers judge.
    callers_key: bool,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    index: usize,
    context_window: Option<u64>,
    /// Whether it is not asked again.
    done: bool,
    /// Whether it is only asked where nobody else can be: it keeps failing, or another request probes it.
    left_alone: bool,
}

impl Failure {
    /// Whether it is the target's fault, which counts for its cooldown. What a provider says of a `callers_key` is no
    /// reason to leave it alone: others have other keys.
    #[must_use]
    pub fn counts(&self, callers_key: bool) -> bool {
        match self {
            Self::Connect | Self::Reset | Self::Timeout | Self::Malformed => true,
            Self::CallerTimeout => false,
            Self::Refused(refusal) => match refusal.meaning {
                Meaning::Unable => refusal.status >= 500 || refusal.status == 408,
                Meaning::RateLimited | Meaning::QuotaSpent | Meaning::Credentials => !callers_key,
                _ => false,
            },
        }
    }

    /// In few words, for records and logs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Connect => "connect failed",
            Self::Reset => "connection reset",
            Self::Timeout => "timeout",
            Self::CallerTimeout => "caller timeout",
            Self::Malformed => "malformed answer",
            Self::Refused(refusal) => match refusal.meaning {
                Meaning::Unable => "provider error",
                Meaning::RateLimited => "rate limited",
                Meaning::QuotaSpent => "quota spent",
                Meaning::ContextLength => "context length exceeded",
                Meaning::ContentRejected => "content rejected",
                Meaning::Invalid => "request refused",
                Meaning::Credentials => "credentials refused",
                Meaning::UnknownModel => "unknown model",
                Meaning::Other => "refused",
            },
        }
    }

    /// What only the operator can mend, where it is our own credentials and names that are judged.
    #[must_use]
    pub fn refused_of_ours(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => match refusal.meaning {
                Meaning::Credentials => Some("the credentials"),
                Meaning::UnknownModel => Some("the name of the model"),
                _ => None,
            },
            _ => None,
        }
    }

    /// What the client is told where nobody else is asked. What is said of our own credentials and names is nothing
    /// that a caller could mend.
    #[must_use]
    pub fn end(&self, callers_key: bool) -> Step {
        match self {
            Self::Connect => Step::Fail(Fault::Unreachable),
            Self::Reset => Step::Fail(Fault::Broken),
            Self::Timeout | Self::CallerTimeout => Step::Fail(Fault::TimedOut),
            Self::Malformed => Step::Fail(Fault::Malformed),
            Self::Refused(refusal) => match refusal.meaning {
                Meaning::Credentials if !callers_key => Step::Fail(Fault::Credentials),
                Meaning::UnknownModel if !callers_key => Step::Fail(Fault::UnknownModel),
                _ => Step::Relay,
            },
        }
    }
}

impl<'c> Course<'c> {
    /// A course over targets, given as their index and the context that they take; the first of those that are
    /// `left_alone` is asked where none of the others can be. `None` without any.
    #[must_use]
    pub fn new(
        targets: impl IntoIterator<Item = (usize, Option<u64>)>,
        left_alone: impl IntoIterator<Item = (usize, Option<u64>)>,
        policy: &'c Retry,
        callers_key: bool,
    ) -> Option<Self> {
        let candidate = |left_alone| {
            move |(index, context_window)| Candidate { index, context_window, done: false, left_alone }
        };
        let targets = targets.into_iter().map(candidate(false));
        let order: Vec<_> = targets.chain(left_alone.into_iter().map(candidate(true))).collect();
        (!order.is_empty()).then_some(Self { order, at: 0, here: 0, total: 0, policy, callers_key })
    }

    /// The target that is asked.
    #[must_use]
    pub fn target(&self) -> usize {
        self.order.get(self.at).map_or(0, |candidate| candidate.index)
    }

    /// Whether it is asked although it is left alone: nobody else can be.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        self.order.get(self.at).is_some_and(|candidate| candidate.left_alone)
    }

    /// Notes that it is asked.
    pub fn asked(&mut self) {
        self.here += 1;
        self.total += 1;
    }

    /// Leaves the target out without having asked it: it can't be.
    pub fn skip(&mut self) -> Option<usize> {
        self.leave();
        self.go_on()
    }

    /// Leaves the target to another request, which probes it, unless nobody else can be asked.
    pub fn leave_alone(&mut self) {
        if let Some(candidate) = self.order.get_mut(self.at) {
            candidate.left_alone = true;
        }
        self.go_on();
    }

    /// Leaves the target for the next one, if there may be another attempt.
    pub fn take_over(&mut self) -> Option<usize> {
        self.leave();
        if self.total >= self.policy.total { None } else { self.go_on() }
    }

    /// What follows on a failure. `left` is what is left of the caller's time, `jitter` is drawn
    /// from 0 to 1.
    pub fn after(&mut self, failure: &Failure, left: Option<Duration>, jitter: f64) -> Step {
        match failure {
            Failure::Timeout => {
                self.leave();
                self.next_or_end(failure, self.policy.on.timeout)
            }
            Failure::CallerTimeout => failure.end(self.callers_key),
            Failure::Connect => self.again_or_next(failure, self.policy.on.connect, left, jitter),
            Failure::Reset => self.again_or_next(failure, self.policy.on.reset, left, jitter),
            Failure::Malformed => {
                self.leave();
                self.next_or_end(failure, self.policy.on.reset)
            }
            Failure::Refused(refusal) => self.after_refusal(failure, refusal, left, jitter),
        }
    }

    fn after_refusal(
        &mut self,
        failure: &Failure,
        refusal: &Refusal,
        left: Option<Duration>,
        jitter: f64,
    ) -> Step {
        let retried = self.policy.on.status(refusal.status);
        match refusal.meaning {
            Meaning::ContentRejected => Step::Relay,
            Meaning::Invalid | Meaning::Other => self.again_or_next(failure, retried, left, jitter),
            Meaning::ContextLength => {
                self.larger().map_or(Step::Relay, |index| Step::Ask(index, Duration::ZERO))
            }
            Meaning::Credentials | Meaning::UnknownModel | Meaning::QuotaSpent if self.callers_key => {
                Step::Relay
            }
            // Another target may have what this one lacks, whatever its status.
            Meaning::Credentials | Meaning::UnknownModel | Meaning::QuotaSpent => {
                self.leave();
                self.next_or_end(failure, true)
            }
            Meaning::RateLimited | Meaning::Unable => match refusal.retry_after {
                Some(wait) if matches!(refusal.status, 429 | 503) => {
                    if retried && wait <= self.policy.wait {
                        self.wait_or_next(failure, wait, left)
                    } else {
                        self.leave();
                        self.next_or_end(failure, retried)
                    }
                }
                _ => self.again_or_next(failure, retried, left, jitter),
            },
        }
    }

    /// The same target after backoff, else the next one.
    fn again_or_next(
        &mut self,
        failure: &Failure,
        retried: bool,
        left: Option<Duration>,
        jitter: f64,
    ) -> Step {
        if !retried {
            return failure.end(self.callers_key);
        }
        self.wait_or_next(failure, self.backoff(jitter), left)
    }

    fn wait_or_next(&mut self, failure: &Failure, wait: Duration, left: Option<Duration>) -> Step {
        let fits = left.is_none_or(|left| wait < left);
        if fits && self.here < self.policy.per_target && self.total < self.policy.total {
            return Step::Ask(self.target(), wait);
        }
        self.leave();
        self.next_or_end(failure, true)
    }

    fn next_or_end(&mut self, failure: &Failure, retried: bool) -> Step {
        if !retried || self.total >= self.policy.total {
            return failure.end(self.callers_key);
        }
        self.go_on().map_or_else(|| failure.end(self.callers_key), |index| Step::Ask(index, Duration::ZERO))
    }

    /// The first target that takes more than this one.
    fn larger(&mut self) -> Option<usize> {
        if self.total >= self.policy.total {
            return None;
        }
        let window = self.order.get(self.at)?.context_window?;
        self.leave();
        let larger = |candidate: &Candidate| {
            candidate.is_open() && candidate.context_window.is_some_and(|other| other > window)
        };
        let at = self.order.iter().position(larger)?;
        Some(self.move_to(at))
    }

    fn leave(&mut self) {
        if let Some(candidate) = self.order.get_mut(self.at) {
            candidate.done = true;
        }
    }

    /// The place of the next target, in order, round to the first; of one that is left alone only where nobody was
    /// asked.
    fn next(&self) -> Option<usize> {
        let after = (self.at + 1)..self.order.len();
        let mut places = after.chain(0..self.at);
        let open = places.find(|at| self.order.get(*at).is_some_and(Candidate::is_open));
        let left_alone = || self.order.iter().position(|candidate| candidate.left_alone && !candidate.done);
        open.or_else(|| left_alone().filter(|_| self.total == 0))
    }

    fn go_on(&mut self) -> Option<usize> {
        let at = self.next()?;
        Some(self.move_to(at))
    }

    fn move_to(&mut self, at: usize) -> usize {
        self.at = at;
        self.here = 0;
        self.target()
    }

    /// Half of it is certain, half is chance: callers that failed together do not come back together.
    fn backoff(&self, jitter: f64) -> Duration {
        let doubled = self.policy.base.saturating_mul(1 << self.here.saturating_sub(1).min(16));
        doubled.min(self.policy.max).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

impl Candidate {
    fn is_open(&self) -> bool {
        !self.done && !self.left_alone
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
