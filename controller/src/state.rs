//! The states that a version goes through.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VersionState {
    /// Waits for approval, promotion or the end of its canary; routed for previews and the canary
    /// share only.
    Staged,
    /// Chosen to become active; waits for its endpoints. Routed by pin.
    Pending,
    /// Serves everyone unpinned. At most one version of an app is active.
    Active,
    /// Superseded; routed by pin until it is idle or too old.
    Draining,
    /// Routed no more; waits until nothing is in flight on it.
    Expiring,
    /// Over; the id is remembered so that it does not come back by itself.
    Expired,
}

impl VersionState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Staged, Self::Pending, Self::Active, Self::Draining, Self::Expiring, Self::Expired];

    /// The name used in logs, metrics and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Draining => "draining",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
        }
    }

    /// Whether requests may still reach it.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Expiring | Self::Expired)
    }
}

impl fmt::Display for VersionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
