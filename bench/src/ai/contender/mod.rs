//! The gateways and proxies that are compared: how each is configured and started.

mod lockstep;
mod nginx;
mod peers;
mod plain;
mod running;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

pub use running::{Provider, Running};

use crate::cli::Kind;
use crate::contender::{program, search};
use crate::error::Result;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Contender {
    /// The provider itself, without a proxy: what the others' delays are compared with.
    Direct,
    /// Plain Pingora, which only proxies: what the others' CPU time is compared with.
    Bare,
    /// nginx, which only proxies.
    Nginx,
    /// Lockstep without audit.
    LockstepOff,
    /// Lockstep, records synced within 50 ms.
    LockstepFast,
    /// Lockstep, records synced before anything is sent.
    LockstepStrict,
    /// Portkey's gateway.
    Portkey,
    /// `LiteLLM`'s proxy.
    Litellm,
}

/// How much a contender can bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Thousands of requests a second.
    Native,
    /// Hundreds.
    Script,
    /// Dozens.
    Crawl,
}

/// What a contender is started with.
struct Setup<'a> {
    /// Worker threads or processes.
    threads: usize,
    /// Where it listens.
    listen: SocketAddr,
    /// Where it listens for HTTP/2, if that needs another port.
    listen_http2: SocketAddr,
    /// The provider.
    provider: Provider,
    /// A directory of its own.
    dir: &'a Path,
    /// Its program.
    program: &'a Path,
}

impl Contender {
    /// Its name in tables, file names and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Bare => "bare",
            Self::Nginx => "nginx",
            Self::LockstepOff => "lockstep-off",
            Self::LockstepFast => "lockstep-fast",
            Self::LockstepStrict => "lockstep-strict",
            Self::Portkey => "portkey",
            Self::Litellm => "litellm",
        }
    }

    /// How much it can bear.
    pub fn pace(self) -> Pace {
        match self {
            Self::Litellm => Pace::Crawl,
            Self::Portkey => Pace::Script,
            _ => Pace::Native,
        }
    }

    /// Its program, if this machine has it.
    pub fn program(self, lockstep: Option<&Path>) -> Option<PathBuf> {
        match self {
            Self::Direct | Self::Bare => program(Kind::Bare, None),
            Self::LockstepOff | Self::LockstepFast | Self::LockstepStrict => {
                program(Kind::Lockstep, lockstep)
            }
            Self::Portkey => peers::portkey_node(),
            Self::Nginx | Self::Litellm => search(self.name()),
        }
    }

    /// Whether it takes HTTP/2 without TLS.
    pub fn speaks_http2(self) -> bool {
        self.pace() == Pace::Native && self != Self::Direct
    }

    /// How its audit is configured, if it has one.
    fn durability(self) -> Option<&'static str> {
        match self {
            Self::LockstepOff => Some("off"),
            Self::LockstepFast => Some("fast"),
            Self::LockstepStrict => Some("strict"),
            _ => None,
        }
    }

    /// Whether each of its calls must leave a record.
    pub fn records(self) -> bool {
        matches!(self, Self::LockstepFast | Self::LockstepStrict)
    }

    /// Headers that only it must be sent.
    fn headers(self, provider: SocketAddr) -> Vec<(String, String)> {
        if self == Self::Portkey { peers::portkey_headers(provider) } else { Vec::new() }
    }

    /// Writes the configuration and says how to start it.
    fn command(self, setup: &Setup<'_>) -> Result<Option<Command>> {
        let command = match self {
            Self::Direct => return Ok(None),
            Self::Bare => plain::command(setup),
            Self::Nginx => nginx::command(setup)?,
            Self::Portkey => peers::portkey(setup),
            Self::Litellm => peers::litellm(setup)?,
            Self::LockstepOff | Self::LockstepFast | Self::LockstepStrict => {
                lockstep::command(setup, self.durability().unwrap_or_default())?
            }
        };
        Ok(Some(command))
    }
}
