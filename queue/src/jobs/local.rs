//! What storages inside one process share: checks before a step, and what is told after it.

use super::error::StorageError;
use super::event::Event;
use super::hub::Channel;
use super::index::Swept;
use super::job::{MAX_PAYLOAD, NewJob};
use super::name::JobId;
use super::storage::{Cancelled, End, EndOutcome, Enqueued, Finish, Finished, Settings};

/// Checks the payloads of jobs.
///
/// # Errors
/// [`StorageError::TooLarge`] for the first that is.
pub(super) fn check_jobs(jobs: &[NewJob]) -> Result<(), StorageError> {
    jobs.iter().try_for_each(|job| check_len(job.payload.len()))
}

/// Checks outputs and errors.
///
/// # Errors
/// [`StorageError::TooLarge`] for the first that is.
pub(super) fn check_ends(ends: &[Finish]) -> Result<(), StorageError> {
    ends.iter().try_for_each(|finish| match &finish.end {
        End::Complete { output, .. } => check_len(output.len()),
        End::Retry { error, .. } | End::Dead { error } => check_len(error.len()),
        End::Release | End::Cancelled => Ok(()),
    })
}

/// Checks the length of a payload, output or error, in bytes.
///
/// # Errors
/// [`StorageError::TooLarge`] if it is.
pub(super) const fn check_len(len: usize) -> Result<(), StorageError> {
    if len > MAX_PAYLOAD { Err(StorageError::TooLarge { len, limit: MAX_PAYLOAD }) } else { Ok(()) }
}

/// Tells of new jobs. Delayed ones wake workers too: they may be due before what those wait for.
pub(super) fn tell_enqueued(channel: &Channel, jobs: &[NewJob], enqueued: &[Enqueued]) {
    let is_new =
        |(job, outcome): (&NewJob, &Enqueued)| matches!(outcome, Enqueued::New(_)).then(|| job.id.clone());
    channel.tell(|| jobs.iter().zip(enqueued).filter_map(is_new).map(Event::Enqueued));
    channel.work(enqueued.iter().filter(|outcome| matches!(outcome, Enqueued::New(_))).count());
}

/// Tells of ended deliveries and claims. `is_limited`: whether the queue has a concurrency limit, so that each
/// end makes room for a claim elsewhere.
pub(super) fn tell_finished(channel: &Channel, ends: &[Finish], finished: &Finished, is_limited: bool) {
    let done = || ends.iter().zip(finished.outcomes.iter().copied());
    channel.tell(|| {
        let started = finished.claimed.iter().map(|job| Event::Started(job.id.clone()));
        done().filter_map(|(finish, outcome)| Event::of_end(finish, outcome)).chain(started)
    });
    let makes_work = |(finish, outcome): &(&Finish, EndOutcome)| {
        is_limited && *outcome != EndOutcome::Lost || outcome.is_work(&finish.end)
    };
    channel.work(done().filter(makes_work).count());
}

/// Tells what upkeep did.
pub(super) fn tell_swept(channel: &Channel, swept: &Swept) {
    channel.tell(|| {
        let events =
            |ids: &[JobId], event: fn(JobId) -> Event| ids.iter().cloned().map(event).collect::<Vec<_>>();
        let stalled = events(&swept.reaped.stalled, Event::Stalled);
        let dead = events(&swept.reaped.dead, Event::Dead);
        let cancelled = events(&swept.cancelled, Event::Cancelled);
        [stalled, dead, cancelled].into_iter().flatten()
    });
    let freed = swept.reaped.stalled.len() + swept.reaped.dead.len() + swept.cancelled.len();
    channel.work(freed + swept.promoted);
}

/// Tells that a job was cancelled, if it was.
pub(super) fn tell_cancelled(channel: &Channel, id: &JobId, cancelled: Cancelled) {
    if cancelled == Cancelled::Done {
        channel.tell(|| [Event::Cancelled(id.clone())]);
    }
}

/// Tells that a dead job is ready again, if it is.
pub(super) fn tell_retried(channel: &Channel, id: &JobId, is_retried: bool) {
    if is_retried {
        channel.tell(|| [Event::Enqueued(id.clone())]);
        channel.work(1);
    }
}

/// Tells that settings changed; workers look whether they may claim now.
pub(super) fn tell_configured(channel: &Channel, before: Settings, after: Settings) {
    if before.paused != after.paused {
        channel.tell(|| [if after.paused { Event::Paused } else { Event::Resumed }]);
    }
    channel.work(usize::MAX);
}
