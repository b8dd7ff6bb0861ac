//! The server that a family's contenders share, with nothing in it at each visit.

mod postgres;
mod redis;

use std::path::Path;
use std::time::{Duration, Instant};

use super::contender::Family;
use crate::error::{Failure, Result};
use crate::process::Process;
use postgres::Postgres;
use redis::Redis;

/// How long a server may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How soon it is asked again whether it is up.
const AGAIN: Duration = Duration::from_millis(20);

/// A running server. Dropping it ends it.
pub(super) enum Server {
    Redis(Redis),
    Postgres(Postgres),
}

impl Server {
    /// The server of a family that needs one.
    pub(super) fn of(family: Family, dir: &Path) -> Result<Option<Self>> {
        match family {
            Family::Memory | Family::Files => Ok(None),
            Family::Redis => Redis::start(dir).map(Self::Redis).map(Some),
            Family::Postgres => Postgres::start(dir).map(Self::Postgres).map(Some),
        }
    }

    /// Whether this machine has the server that a family needs.
    pub(super) fn is_there(family: Family) -> bool {
        match family {
            Family::Memory | Family::Files => true,
            Family::Redis => redis::program().is_some(),
            Family::Postgres => postgres::programs().is_some(),
        }
    }

    /// The id of its process.
    pub(super) fn id(&self) -> u32 {
        match self {
            Self::Redis(redis) => redis.id(),
            Self::Postgres(postgres) => postgres.id(),
        }
    }

    /// Where clients find it.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Redis(redis) => redis.url(),
            Self::Postgres(postgres) => postgres.address(),
        }
    }

    /// Removes everything in it.
    pub(super) fn empty(&self) -> Result<()> {
        match self {
            Self::Redis(redis) => redis.empty(),
            Self::Postgres(postgres) => postgres.empty(),
        }
    }
}

/// Waits until a server that was started is up.
fn wait(process: &mut Process, name: &str, is_up: impl Fn() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !is_up() {
        if begun.elapsed() > PATIENCE || !process.is_alive() {
            return Err(Failure::new(format!("{name} does not start: {}", process.last_words())));
        }
        std::thread::sleep(AGAIN);
    }
    Ok(())
}
