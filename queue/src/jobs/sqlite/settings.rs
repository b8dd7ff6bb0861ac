//! What holds for whole queues, and who has a role.

use super::error::Failure;
use super::step::Step;
use crate::jobs::columns::limit;
use crate::jobs::event::Event;
use crate::jobs::name::{QueueName, WorkerId};
use crate::jobs::storage::Settings;

const CONFIGURE: &str = "UPDATE queues SET paused = ?2, concurrency = ?3, max_jobs = ?4 WHERE number = ?1";
const LEAD: &str = "INSERT INTO roles VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE
    SET holder = excluded.holder, until = excluded.until
    WHERE holder = excluded.holder OR until <= ?4";
const RESIGN: &str = "DELETE FROM roles WHERE name = ?1 AND holder = ?2";

/// Changes the settings, and tells if the queue is paused or resumed by that.
pub(super) fn configure(step: &mut Step<'_>, queue: &QueueName, settings: Settings) -> Result<(), Failure> {
    let row = step.queue_or_new(queue)?;
    let Settings { paused, concurrency, max_jobs } = settings;
    let max_jobs = max_jobs.map(|most| limit(usize::try_from(most).unwrap_or(usize::MAX)));
    step.change(CONFIGURE, (row.number, paused, concurrency, max_jobs))?;
    if paused != row.paused {
        step.event(queue, if paused { Event::Paused } else { Event::Resumed });
    }
    step.work(queue);
    Ok(())
}

/// Takes or keeps a role until `until`.
pub(super) fn lead(
    step: &mut Step<'_>,
    role: &QueueName,
    holder: &WorkerId,
    ttl: i64,
) -> Result<bool, Failure> {
    let (role, holder) = (role.as_str().as_bytes(), holder.as_str().as_bytes());
    Ok(step.change(LEAD, (role, holder, step.now + ttl, step.now))? > 0)
}

/// Gives a role up.
pub(super) fn resign(step: &mut Step<'_>, role: &QueueName, holder: &WorkerId) -> Result<(), Failure> {
    step.change(RESIGN, (role.as_str().as_bytes(), holder.as_str().as_bytes()))?;
    Ok(())
}
