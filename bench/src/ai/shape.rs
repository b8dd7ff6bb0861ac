//! Shapes of load: what the clients ask for, and how often.

use std::time::Duration;

use clap::ValueEnum;

use super::contender::Pace;
use super::model::Model;

/// Connections of a load without pauses, and at most of one with a rate.
pub const CONNECTIONS: usize = 64;
/// The time between two chunks of a stream: fifty a second, as models write.
const CHUNK_EVERY: Duration = Duration::from_millis(20);
/// Chunks of such a stream.
const CHUNKS: usize = 100;

/// A shape of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Plain calls without pauses, prompts of 2 kB.
    #[value(name = "prompt-2k")]
    Prompt2k,
    /// The same with 50 kB.
    #[value(name = "prompt-50k")]
    Prompt50k,
    /// The same with 400 kB.
    #[value(name = "prompt-400k")]
    Prompt400k,
    /// Plain calls at 1 000 a second, fewer for what cannot do that.
    Steady,
    /// Short streams at 100 a second, fewer for what cannot do that.
    FirstByte,
    /// Ten streams at once, 500 chunks a second together.
    #[value(name = "chunks-500")]
    Chunks500,
    /// Fifty streams at once, 2 500 chunks a second together.
    #[value(name = "chunks-2500")]
    Chunks2500,
}

/// What is counted, and what CPU time is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A whole answer.
    Request,
    /// A whole stream; its delay is the time to the first byte.
    Stream,
    /// A chunk of a stream; its delay is from the provider's writing to the client's reading.
    Chunk,
}

impl Shape {
    /// What stands over its table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Prompt2k => "Plain calls without pauses, 64 connections, prompts of 2 kB",
            Self::Prompt50k => "Plain calls without pauses, 64 connections, prompts of 50 kB",
            Self::Prompt400k => "Plain calls without pauses, 64 connections, prompts of 400 kB",
            Self::Steady => "Plain calls at 1 000 a second (Portkey 200, LiteLLM 20), prompts of 2 kB",
            Self::FirstByte => {
                "Streams of 10 chunks at 100 a second (Portkey 50, LiteLLM 10); delay: first byte"
            }
            Self::Chunks500 => "10 streams, 500 chunks a second together; delay: from provider to client",
            Self::Chunks2500 => "50 streams, 2 500 chunks a second together; delay: from provider to client",
        }
    }

    /// What is counted.
    pub fn unit(self) -> Unit {
        match self {
            Self::Prompt2k | Self::Prompt50k | Self::Prompt400k | Self::Steady => Unit::Request,
            Self::FirstByte => Unit::Stream,
            Self::Chunks500 | Self::Chunks2500 => Unit::Chunk,
        }
    }

    /// Bytes of the prompt.
    pub fn prompt(self) -> usize {
        match self {
            Self::Prompt50k => 50_000,
            Self::Prompt400k => 400_000,
            _ => 2_000,
        }
    }

    /// What the provider is asked to answer with.
    pub fn model(self) -> Model {
        match self.unit() {
            Unit::Request => Model::Plain,
            Unit::Stream => Model::Stream { chunks: 10, every: Duration::ZERO },
            Unit::Chunk => Model::Stream { chunks: CHUNKS, every: CHUNK_EVERY },
        }
    }

    /// Clients, each with a connection.
    pub fn clients(self) -> usize {
        match self {
            Self::Chunks500 => 10,
            Self::Chunks2500 => 50,
            _ => CONNECTIONS,
        }
    }

    /// The time after which each client asks again, for shapes with a rate.
    pub fn interval(self, pace: Pace) -> Option<Duration> {
        let per_second = match (self, pace) {
            (Self::Steady, Pace::Native) => 1_000,
            (Self::Steady, Pace::Script) => 200,
            (Self::Steady, Pace::Crawl) => 20,
            (Self::FirstByte, Pace::Native) => 100,
            (Self::FirstByte, Pace::Script) => 50,
            (Self::FirstByte, Pace::Crawl) => 10,
            _ => return None,
        };
        Some(Duration::from_secs(64) / per_second)
    }

    /// Whether a contender can bear it.
    pub fn suits(self, pace: Pace) -> bool {
        self != Self::Chunks2500 || pace != Pace::Crawl
    }
}

impl Unit {
    /// Its name in a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Stream => "stream",
            Self::Chunk => "chunk",
        }
    }
}
