//! Jobs as they are stored: a hash with a header of fixed length and the worker's name after it, as `common.lua`
//! writes it, and the payload, output and error as they are.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::jobs::error::StorageError;
use crate::jobs::job::{Claimed, Generation, Job, JobOptions, JobState, StorageTime, Token};
use crate::jobs::name::{JobId, WorkerId};

/// The bytes of a header before the worker's name.
const FIXED: usize = 94;
/// Durations are cut here, so that sums of times stay exact in the scripts, whose numbers have 53 bits.
const LONGEST: u64 = 1 << 51;

/// What the header tells.
#[derive(Debug)]
struct Header {
    state: JobState,
    is_cancel_wanted: bool,
    options: JobOptions,
    deliveries: u32,
    generation: Generation,
    created_at: StorageTime,
    ready_at: StorageTime,
    token: Token,
    at: StorageTime,
    expires_at: Option<StorageTime>,
    worker: String,
}

/// What is stored of a job.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) header: Bytes,
    pub(super) payload: Bytes,
    pub(super) output: Option<Bytes>,
    pub(super) error: Option<Bytes>,
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(LONGEST)
}

/// The options of a new job, and the nonce of the call that enqueues it.
pub(super) fn pack_options(options: &JobOptions, nonce: u64) -> Bytes {
    let mut packed = BytesMut::with_capacity(32);
    packed.put_i32(options.priority);
    packed.put_u32(options.max_deliveries);
    packed.put_u64(millis(options.delay));
    packed.put_u64(millis(options.retention));
    packed.put_u64(nonce);
    packed.freeze()
}

impl Stored {
    /// The job at a moment; none if it has expired.
    pub(super) fn job(self, id: JobId, now: StorageTime) -> Result<Option<Job>, StorageError> {
        let header = Header::read(&self.header, &id)?;
        if header.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        let state = header.state_at(now);
        let worker = (state == JobState::Active).then(|| WorkerId::new(&header.worker));
        let worker = worker.transpose().map_err(|_| corrupt(&id))?;
        Ok(Some(Job {
            generation: header.generation,
            state,
            payload: self.payload,
            deliveries: header.deliveries,
            created_at: header.created_at,
            ready_at: header.ready_at,
            ended_at: state.is_ended().then_some(header.at),
            expires_at: header.expires_at,
            lease: worker.map(|worker| (worker, header.at)),
            cancel_requested: header.is_cancel_wanted,
            output: self.output.filter(|_| state == JobState::Completed),
            error: self.error,
            options: header.options,
            id,
        }))
    }

    /// The job for the worker that has just claimed it.
    pub(super) fn claimed(self, id: JobId) -> Result<Claimed, StorageError> {
        let header = Header::read(&self.header, &id)?;
        Ok(Claimed {
            id,
            token: header.token,
            payload: self.payload,
            options: header.options,
            delivery: header.deliveries,
            created_at: header.created_at,
        })
    }
}

impl Header {
    fn read(bytes: &Bytes, id: &JobId) -> Result<Self, StorageError> {
        let mut bytes = bytes.clone();
        if bytes.len() < FIXED {
            return Err(corrupt(id));
        }
        let state = state(i64::from(bytes.get_u8())).ok_or_else(|| corrupt(id))?;
        let is_cancel_wanted = bytes.get_u8() != 0;
        let (priority, deliveries, max_deliveries) = (bytes.get_i32(), bytes.get_u32(), bytes.get_u32());
        let generation = Generation(bytes.get_u64());
        let (created_at, ready_at) = (StorageTime(bytes.get_u64()), StorageTime(bytes.get_u64()));
        let delay = Duration::from_millis(bytes.get_u64());
        let retention = Duration::from_millis(bytes.get_u64());
        let token = Token(bytes.get_u64());
        let (at, expires) = (StorageTime(bytes.get_u64()), bytes.get_u64());
        // The nonces are for the scripts alone.
        bytes.advance(16);
        let worker = String::from_utf8(bytes.to_vec()).map_err(|_| corrupt(id))?;
        let options = JobOptions { priority, delay, max_deliveries, retention };
        Ok(Self {
            state,
            is_cancel_wanted,
            options,
            deliveries,
            generation,
            created_at,
            ready_at,
            token,
            at,
            expires_at: (expires > 0).then_some(StorageTime(expires)),
            worker,
        })
    }

    fn state_at(&self, now: StorageTime) -> JobState {
        match self.state {
            JobState::Delayed if self.ready_at <= now => JobState::Waiting,
            state => state,
        }
    }
}

/// A state by its number in the scripts.
pub(super) const fn state(number: i64) -> Option<JobState> {
    match number {
        1 => Some(JobState::Waiting),
        2 => Some(JobState::Delayed),
        3 => Some(JobState::Active),
        4 => Some(JobState::Completed),
        5 => Some(JobState::Dead),
        _ => None,
    }
}

fn corrupt(id: &JobId) -> StorageError {
    StorageError::Corrupt { what: format!("job {id:?}") }
}
