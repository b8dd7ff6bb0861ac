//! What discovery finds: apps with their versions and endpoints, and what is wrong with objects.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::cluster::claim::Claim;
use crate::{AppId, VersionId};

/// All that was found at one instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The apps.
    pub apps: BTreeMap<AppId, Arc<FoundApp>>,
    /// Objects that can't be used, and why.
    pub problems: Vec<Problem>,
}

/// One app.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundApp {
    /// Its identity.
    pub id: AppId,
    /// What it asks for.
    pub claim: Arc<Claim>,
    /// Its versions, oldest first.
    pub versions: Vec<FoundVersion>,
}

/// One version.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundVersion {
    /// Its id.
    pub id: VersionId,
    /// Its age rank: `lockstep.dev/revision`, else the creation time of the Deployment in
    /// milliseconds since the epoch.
    pub revision: u64,
    /// What runs it.
    pub workload: Workload,
    /// Endpoints that are ready, in order.
    pub endpoints: Arc<[SocketAddr]>,
    /// Whether they speak HTTP/2, by the `appProtocol` of the Service's port.
    pub http2: bool,
}

/// The objects that run a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Name of the Deployment, in the namespace of the app.
    pub deployment: String,
    /// Its uid.
    pub uid: String,
    /// Name of the Service that selects the version's pods only, if there is one.
    pub service: Option<String>,
    /// Replicas asked for (`spec.replicas`).
    pub desired: u32,
    /// Pods that exist, terminating ones included.
    pub pods: u32,
    /// Whether it is about to go (it has a deletion timestamp).
    pub deleting: bool,
    /// Digest of the pod template, to notice one that changes under the same id.
    pub template: String,
    /// When the Deployment was made.
    pub created: Timestamp,
}

/// Something that is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// Its kind, such as `Deployment`.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, for Events.
    pub uid: String,
    /// What is wrong, as the `reason` of an Event.
    pub reason: ProblemReason,
    /// What is wrong and what to do.
    pub message: String,
}

/// What can be wrong with an object. The name is the `reason` of its Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemReason {
    /// The label's value is no name of an app.
    InvalidApp,
    /// The label's value is no version id.
    InvalidVersion,
    /// Two Deployments of an app carry one id.
    DuplicateVersion,
    /// A Deployment was given another id while pods of the last one run.
    VersionReplaced,
    /// There is no port to send requests to.
    NoPort,
    /// Another app has the host and path.
    RouteConflict,
    /// The namespace may not claim the host.
    HostNotAllowed,
    /// Annotations, labels or `spec` hold what can't be used.
    InvalidSettings,
    /// They do, and nothing is known that they held before.
    NotRouted,
}

impl ProblemReason {
    /// The name used in Events, metrics and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidApp => "InvalidApp",
            Self::InvalidVersion => "InvalidVersion",
            Self::DuplicateVersion => "DuplicateVersion",
            Self::VersionReplaced => "VersionReplaced",
            Self::NoPort => "NoPort",
            Self::RouteConflict => "RouteConflict",
            Self::HostNotAllowed => "HostNotAllowed",
            Self::InvalidSettings => "InvalidSettings",
            Self::NotRouted => "NotRouted",
        }
    }
}
