//! What an app wants of its versions' lives. Parsed from the configuration; nothing in here can be
//! out of range.

use std::time::Duration;

use crate::{Share, VersionId};

/// When versions become active and when they expire.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// When a pending version may become active.
    pub ready: ReadyRule,
    /// How long a superseded version is kept whatever happens.
    pub grace: Duration,
    /// How long it must be without traffic after that.
    pub idle_window: Duration,
    /// How long it may be kept at most, with traffic or without.
    pub max_alive: Duration,
    /// Superseded versions that are kept; `None` is without limit.
    pub max_versions: Option<usize>,
    /// Whether a new version waits for approval.
    pub requires_approval: bool,
    /// Who has a say in whether an idle version may go; `None` if its traffic alone decides.
    pub webhook: Option<Webhook>,
    /// What becomes of the workload of an expired version. Versions written in the file have none.
    pub cleanup: Cleanup,
    /// How far Lockstep may go with workloads. Versions written in the file have none.
    pub mode: Mode,
}

/// When a pending version may become active.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadyRule {
    /// Share of its endpoints that must be ready.
    pub share: Share,
    /// After this long it counts as stalled; it stays pending.
    pub deadline: Duration,
}

/// Whom to ask whether an idle version may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its address.
    pub url: String,
    /// How long it may take to answer.
    pub timeout: Duration,
}

impl Default for Policy {
    /// What holds where nobody says otherwise.
    fn default() -> Self {
        Self {
            ready: ReadyRule { share: Share::ALL, deadline: Duration::from_mins(10) },
            grace: Duration::from_mins(30),
            idle_window: Duration::from_mins(30),
            max_alive: Duration::from_hours(24),
            max_versions: None,
            webhook: None,
            requires_approval: false,
            cleanup: Cleanup::Scale,
            mode: Mode::Manage,
        }
    }
}

/// A version that a share of new visitors get.
#[derive(Debug, Clone, PartialEq)]
pub struct Canary {
    /// The version.
    pub version: VersionId,
    /// The share.
    pub share: Share,
}

/// What becomes of the workload of an expired version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// It is left alone.
    None,
    /// It is scaled to zero.
    Scale,
    /// It is deleted.
    Delete,
}

/// How far Lockstep may go with workloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It scales and deletes them.
    Manage,
    /// It keeps states, but touches no workload.
    Observe,
    /// It says what should be done, and recognises when it was.
    Advise,
}
