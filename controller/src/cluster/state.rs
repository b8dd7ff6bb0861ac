//! What a replica knows of the cluster: for the lead, which decides by it, and for people.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::claim::Settled;
use super::found::Found;
use super::resource::VersionedApp;
use super::watch::Kind;
use crate::{AppId, AppSnapshot};

/// The cluster at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterState {
    /// Whether everything was seen since the start. Before that nothing may be decided.
    pub complete: bool,
    /// Whether a watch does not work at the moment: what it would show is missing, while others may be newer.
    pub behind: bool,
    /// Whether the cluster keeps states. Where it does not, nothing may be decided either.
    pub stored: bool,
    /// Apps and versions, and all that is wrong with objects, settings and routes included.
    pub found: Found,
    /// The resources, as they were last seen.
    pub resources: HashMap<AppId, Arc<VersionedApp>>,
    /// What apps get. One that is missing has never asked for what it could get.
    pub settled: HashMap<AppId, Arc<Settled>>,
    /// How apps are routed: what is still known of their versions where their states were lost.
    pub routed: BTreeMap<AppId, Arc<AppSnapshot>>,
}

/// How a replica fares with the API.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// Whether everything was seen since the start.
    pub complete: bool,
    /// What keeps it from seeing things, and what to do.
    pub failures: Vec<String>,
    /// Objects that are kept, by kind.
    pub objects: Vec<(Kind, usize)>,
    /// How often watches had to begin anew, by kind.
    pub restarts: Vec<(Kind, u64)>,
}
