//! How the SQL storages put jobs into columns: times and durations in whole milliseconds, states as small
//! numbers, names as the bytes they are.

use std::time::Duration;

use super::error::StorageError;
use super::job::{Job, JobState, StorageTime};
use super::name::{JobId, QueueName, WorkerId};

/// The longest duration that is kept, about 1 000 years: sums with it can't overflow.
const LONGEST_MS: i64 = 1 << 45;

/// [`JobState`] as it is stored. Part of the schema: existing numbers keep their meaning.
pub(super) const WAITING: i16 = 0;
pub(super) const DELAYED: i16 = 1;
pub(super) const ACTIVE: i16 = 2;
pub(super) const COMPLETED: i16 = 3;
pub(super) const DEAD: i16 = 4;

/// Whole milliseconds, rounded down.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(LONGEST_MS).min(LONGEST_MS)
}

/// A duration out of a column.
pub(super) fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// A time out of a column.
pub(super) fn time(millis: i64) -> StorageTime {
    StorageTime(u64::try_from(millis).unwrap_or_default())
}

/// A limit as SQL wants it.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A counter out of a column.
pub(super) fn count(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

pub(super) const fn state_code(state: JobState) -> i16 {
    match state {
        JobState::Waiting => WAITING,
        JobState::Delayed => DELAYED,
        JobState::Active => ACTIVE,
        JobState::Completed => COMPLETED,
        JobState::Dead => DEAD,
    }
}

pub(super) fn state(code: i16) -> Result<JobState, StorageError> {
    match code {
        WAITING => Ok(JobState::Waiting),
        DELAYED => Ok(JobState::Delayed),
        ACTIVE => Ok(JobState::Active),
        COMPLETED => Ok(JobState::Completed),
        DEAD => Ok(JobState::Dead),
        code => Err(StorageError::Corrupt { what: format!("state {code} of a job") }),
    }
}

pub(super) fn job_id(bytes: &[u8]) -> Result<JobId, StorageError> {
    name(bytes, "a job id", |text| JobId::new(text).ok())
}

pub(super) fn queue_name(bytes: &[u8]) -> Result<QueueName, StorageError> {
    name(bytes, "the name of a queue", |text| QueueName::new(text).ok())
}

pub(super) fn worker_id(bytes: &[u8]) -> Result<WorkerId, StorageError> {
    name(bytes, "the name of a worker", |text| WorkerId::new(text).ok())
}

/// The job as it stands at a time: a delayed one whose time came is waiting, though no step made it so yet.
pub(super) fn as_of(now: i64, job: Job) -> Job {
    let due = job.state == JobState::Delayed && job.ready_at <= time(now);
    Job { state: if due { JobState::Waiting } else { job.state }, ..job }
}

/// A number of those that only grow, as it is stored. None was ever given that is too large.
pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn name<T>(bytes: &[u8], what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, StorageError> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(parse)
        .ok_or_else(|| StorageError::Corrupt { what: format!("{what} of {} bytes", bytes.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_whole_milliseconds_and_bounded() {
        for (given, kept) in [
            (Duration::ZERO, 0),
            (Duration::from_micros(999), 0),
            (Duration::from_millis(5), 5),
            (Duration::from_micros(5_999), 5),
            (Duration::MAX, LONGEST_MS),
        ] {
            assert_eq!(millis(given), kept, "{given:?}");
        }
    }

    #[test]
    fn states_survive_their_columns() {
        for code in WAITING..=DEAD {
            assert_eq!(state_code(state(code).unwrap()), code);
        }
        assert!(matches!(state(DEAD + 1), Err(StorageError::Corrupt { .. })));
    }
}
