//! Who is measured, and on what storage.

use clap::ValueEnum;

use super::peers;
use super::server::Server;

/// A queue on a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// Ours in memory.
    LockstepMemory,
    /// `@platformatic/job-queue` in memory.
    JobQueueMemory,
    /// Ours in a log of files.
    LockstepFile,
    /// Ours in an SQLite file.
    LockstepSqlite,
    /// `@platformatic/job-queue` on files.
    JobQueueFile,
    /// Ours on Redis.
    LockstepRedis,
    /// `@platformatic/job-queue` on Redis.
    JobQueueRedis,
    /// BullMQ on Redis.
    Bullmq,
    /// Ours in PostgreSQL.
    LockstepPostgres,
}

/// Contenders that are compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// In the memory of the process.
    Memory,
    /// On the disk, without a server.
    Files,
    /// On one Redis server.
    Redis,
    /// In one PostgreSQL server.
    Postgres,
}

/// How fast a contender is, about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Nothing leaves the process.
    Memory,
    /// Round trips to a server that answers from memory.
    Network,
    /// Syncs to the disk, some jobs in each.
    Disk,
    /// Several syncs to the disk for each job.
    Crawl,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Files, Self::Redis, Self::Postgres];

    /// Its contenders.
    pub fn contenders(self) -> impl Iterator<Item = Contender> {
        Contender::value_variants().iter().copied().filter(move |contender| contender.family() == self)
    }

    /// The one that the others are compared with, if there is one.
    pub fn reference(self) -> Option<Contender> {
        match self {
            Self::Memory => Some(Contender::JobQueueMemory),
            Self::Files => Some(Contender::JobQueueFile),
            Self::Redis => Some(Contender::Bullmq),
            Self::Postgres => None,
        }
    }

    /// Its name, with how durable the jobs are.
    pub fn title(self) -> &'static str {
        match self {
            Self::Memory => "In memory, which nothing survives",
            Self::Files => {
                "On files. Ours: one sync for all calls that wait (group commit); job-queue-file: a file for each \
                 step, each with an fsync of its own, none of the directory"
            }
            Self::Redis => "On one Redis server that writes nothing to the disk",
            Self::Postgres => {
                "In one PostgreSQL server with its default settings: each commit waits for its sync"
            }
        }
    }
}

impl Contender {
    /// Its name in tables and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::LockstepMemory => "lockstep-memory",
            Self::JobQueueMemory => "job-queue-memory",
            Self::LockstepFile => "lockstep-file",
            Self::LockstepSqlite => "lockstep-sqlite",
            Self::LockstepRedis => "lockstep-redis",
            Self::JobQueueFile => "job-queue-file",
            Self::JobQueueRedis => "job-queue-redis",
            Self::Bullmq => "bullmq",
            Self::LockstepPostgres => "lockstep-postgres",
        }
    }

    /// Whom it is compared with.
    pub fn family(self) -> Family {
        match self {
            Self::LockstepMemory | Self::JobQueueMemory => Family::Memory,
            Self::LockstepFile | Self::LockstepSqlite | Self::JobQueueFile => Family::Files,
            Self::LockstepRedis | Self::JobQueueRedis | Self::Bullmq => Family::Redis,
            Self::LockstepPostgres => Family::Postgres,
        }
    }

    /// How fast it is, about.
    pub fn pace(self) -> Pace {
        match self {
            Self::LockstepMemory | Self::JobQueueMemory => Pace::Memory,
            Self::LockstepRedis | Self::JobQueueRedis | Self::Bullmq => Pace::Network,
            Self::LockstepFile | Self::LockstepSqlite | Self::LockstepPostgres => Pace::Disk,
            Self::JobQueueFile => Pace::Crawl,
        }
    }

    /// Jobs until a compiler at run time has seen the code, however few are measured.
    pub fn warm_up(self) -> usize {
        if self.pace() == Pace::Crawl { 30 } else { 2_000 }
    }

    /// Whether it is ours, and runs in this program.
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Self::LockstepMemory
                | Self::LockstepFile
                | Self::LockstepSqlite
                | Self::LockstepRedis
                | Self::LockstepPostgres
        )
    }

    /// Why it cannot run on this machine, if it can't.
    pub fn missing(self) -> Option<&'static str> {
        if !self.is_ours() && peers::node().is_none() {
            return Some("its packages are not on this machine; bench/setup.sh installs them");
        }
        (!Server::is_there(self.family()))
            .then_some("its server is not on this machine; bench/setup.sh installs it")
    }
}
