//! What the server answers, and what that means. An answer of another shape is [`StorageError::Corrupt`].

use std::time::Duration;

use bytes::{Buf as _, Bytes};
use redis::Value;

use super::header::{Stored, state};
use crate::jobs::error::StorageError;
use crate::jobs::job::{Claimed, Generation, Job, StorageTime};
use crate::jobs::name::{JobId, QueueName};
use crate::jobs::storage::{Counts, EndOutcome, Enqueued, Extended, Finished, Reaped, Settings};

/// An answer.
#[derive(Debug)]
pub(super) struct Reply(Value);

impl Reply {
    pub(super) const fn new(value: Value) -> Self {
        Self(value)
    }

    pub(super) fn int(self) -> Result<i64, StorageError> {
        match self.0 {
            Value::Int(number) => Ok(number),
            _ => Err(odd("a number")),
        }
    }

    /// A list of so many.
    pub(super) fn list(self, count: usize) -> Result<Vec<Self>, StorageError> {
        exactly(count, self.array()?)
    }

    /// One generation or negative state for each job, or the limit of a full queue.
    pub(super) fn enqueued(self, count: usize) -> Result<Vec<Enqueued>, StorageError> {
        if let Value::Int(limit) = self.0 {
            return Err(StorageError::QueueFull { limit: u64::try_from(limit).unwrap_or(0) });
        }
        let answers = self.array()?.into_iter().map(|answer| {
            let number = answer.int()?;
            match u64::try_from(number) {
                Ok(generation) => Ok(Enqueued::New(Generation(generation))),
                Err(_) => {
                    state(number.saturating_neg()).map(Enqueued::Duplicate).ok_or_else(|| odd("a state"))
                }
            }
        });
        exactly(count, answers.collect::<Result<_, _>>()?)
    }

    /// A digit for each end, when more is due, and id, header and payload of each claimed job.
    pub(super) fn finished(self, count: usize) -> Result<Finished, StorageError> {
        let [outcomes, next_in, claimed] = self.parts()?;
        let outcomes = outcomes.bytes()?.into_iter().map(|outcome| match outcome {
            b'1' => EndOutcome::Done,
            b'2' => EndOutcome::Cancelled,
            _ => EndOutcome::Lost,
        });
        let outcomes = outcomes.collect();
        let next_in = u64::try_from(next_in.int()?).ok().map(Duration::from_millis);
        Ok(Finished { outcomes: exactly(count, outcomes)?, claimed: claimed.claimed()?, next_in })
    }

    fn claimed(self) -> Result<Vec<Claimed>, StorageError> {
        let mut parts = self.array()?.into_iter();
        let mut claimed = Vec::with_capacity(parts.len() / 3);
        while let (Some(id), Some(header), Some(payload)) = (parts.next(), parts.next(), parts.next()) {
            let (header, payload) = (header.bytes()?, payload.bytes()?);
            let stored = Stored { header, payload, output: None, error: None };
            claimed.push(stored.claimed(id.id()?)?);
        }
        Ok(claimed)
    }

    /// A digit for each lease.
    pub(super) fn extended(self, count: usize) -> Result<Vec<Extended>, StorageError> {
        let answers = self.bytes()?;
        let answers = answers.iter().map(|answer| match answer {
            b'1' => Extended::Held,
            b'2' => Extended::CancelWanted,
            _ => Extended::Lost,
        });
        exactly(count, answers.collect())
    }

    /// What time it is, and what is stored of each of these.
    pub(super) fn jobs(self, ids: Vec<JobId>) -> Result<Vec<Job>, StorageError> {
        let mut parts = self.array()?.into_iter();
        let now = parts.next().ok_or_else(|| odd("a time"))?.unsigned()?;
        let mut jobs = Vec::with_capacity(ids.len());
        for (id, fields) in ids.into_iter().zip(parts) {
            let [header, payload, output, error] = fields.parts()?;
            let (Some(header), Some(payload)) = (header.optional()?, payload.optional()?) else { continue };
            let stored = Stored { header, payload, output: output.optional()?, error: error.optional()? };
            jobs.extend(stored.job(id, StorageTime(now))?);
        }
        Ok(jobs)
    }

    /// Ids, each after 8 bytes of its generation.
    pub(super) fn numbered_ids(self) -> Result<Vec<(Generation, JobId)>, StorageError> {
        let members = self.array()?.into_iter();
        let pairs = members.map(|member| {
            let mut member = member.bytes()?;
            let generation = member.try_get_u64().map_err(|_| odd("a generation"))?;
            Ok((Generation(generation), to_id(&member)?))
        });
        pairs.collect()
    }

    /// Ids, each before its generation.
    pub(super) fn scored_ids(self) -> Result<Vec<(Generation, JobId)>, StorageError> {
        let mut parts = self.array()?.into_iter();
        let mut pairs = Vec::with_capacity(parts.len() / 2);
        while let (Some(id), Some(generation)) = (parts.next(), parts.next()) {
            let generation = generation.text()?.parse().map_err(|_| odd("a generation"))?;
            pairs.push((Generation(generation), id.id()?));
        }
        Ok(pairs)
    }

    pub(super) fn counts(self) -> Result<Counts, StorageError> {
        let [waiting, delayed, active, completed, dead] = self.parts()?;
        Ok(Counts {
            waiting: waiting.unsigned()?,
            delayed: delayed.unsigned()?,
            active: active.unsigned()?,
            completed: completed.unsigned()?,
            dead: dead.unsigned()?,
        })
    }

    pub(super) fn queues(self) -> Result<Vec<QueueName>, StorageError> {
        let names = self.array()?.into_iter();
        names.map(|name| QueueName::new(name.text()?).map_err(|_| odd("the name of a queue"))).collect()
    }

    pub(super) fn settings(self) -> Result<Settings, StorageError> {
        let [paused, concurrency, max_jobs] = self.parts()?;
        Ok(Settings {
            paused: paused.optional()?.is_some_and(|paused| paused.as_ref() == b"1"),
            concurrency: concurrency.limit()?,
            max_jobs: max_jobs.limit()?,
        })
    }

    pub(super) fn reaped(self) -> Result<Reaped, StorageError> {
        let [stalled, dead, forgotten, more] = self.parts()?;
        let ids = |reply: Self| reply.array()?.into_iter().map(Self::id).collect::<Result<_, _>>();
        Ok(Reaped {
            stalled: ids(stalled)?,
            dead: ids(dead)?,
            forgotten: usize::try_from(forgotten.int()?).unwrap_or(usize::MAX),
            more: more.int()? == 1,
        })
    }

    fn array(self) -> Result<Vec<Self>, StorageError> {
        match self.0 {
            Value::Array(values) => Ok(values.into_iter().map(Self).collect()),
            _ => Err(odd("a list")),
        }
    }

    fn parts<const COUNT: usize>(self) -> Result<[Self; COUNT], StorageError> {
        self.array()?.try_into().map_err(|_| odd("a list of another length"))
    }

    fn bytes(self) -> Result<Bytes, StorageError> {
        self.optional()?.ok_or_else(|| odd("bytes"))
    }

    fn optional(self) -> Result<Option<Bytes>, StorageError> {
        match self.0 {
            Value::BulkString(bytes) => Ok(Some(bytes.into())),
            Value::Nil => Ok(None),
            _ => Err(odd("bytes")),
        }
    }

    fn text(self) -> Result<String, StorageError> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| odd("text"))
    }

    fn limit<T: std::str::FromStr>(self) -> Result<Option<T>, StorageError> {
        let Some(limit) = self.optional()? else { return Ok(None) };
        let limit = std::str::from_utf8(&limit).ok().and_then(|limit| limit.parse().ok());
        limit.map(Some).ok_or_else(|| odd("a limit"))
    }

    fn unsigned(self) -> Result<u64, StorageError> {
        u64::try_from(self.int()?).map_err(|_| odd("a number"))
    }

    fn id(self) -> Result<JobId, StorageError> {
        to_id(&self.bytes()?)
    }
}

fn to_id(bytes: &[u8]) -> Result<JobId, StorageError> {
    let id = std::str::from_utf8(bytes).ok().and_then(|id| JobId::new(id).ok());
    id.ok_or_else(|| odd("a job id"))
}

fn exactly<T>(count: usize, answers: Vec<T>) -> Result<Vec<T>, StorageError> {
    if answers.len() == count { Ok(answers) } else { Err(odd("another number of answers")) }
}

/// An answer that none of our scripts gives.
fn odd(wanted: &str) -> StorageError {
    StorageError::Corrupt { what: format!("an answer of the server where {wanted} should be") }
}
