//! Keeps what was last routed of the cluster in `data_dir/cluster.json`, so that a restart without
//! the API still routes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::claim::Claim;
use super::grants::Grant;
use crate::state_file::StateFile;
pub use crate::state_file::StateFileError as KeptError;
use crate::{AppSnapshot, Canary, VersionId, VersionSnapshot, VersionState, VersionStatus};

/// The file's name in the data directory.
pub const FILE: &str = "cluster.json";
/// The format that this release reads and writes.
const FORMAT: u32 = 1;

/// The file.
#[derive(Debug, Clone)]
pub struct Kept(StateFile);

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Memory {
    pub(crate) apps: Vec<Arc<AppSnapshot>>,
    /// Ids made from images, by namespace.
    pub(crate) minted: BTreeMap<String, Vec<MintedId>>,
}

/// An id made from an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MintedId {
    pub(crate) uid: String,
    pub(crate) template: String,
    pub(crate) id: VersionId,
}

#[derive(Serialize, Deserialize)]
struct File {
    apps: Vec<App>,
    minted: BTreeMap<String, Vec<MintedId>>,
}

#[derive(Serialize, Deserialize)]
struct App {
    claim: Claim,
    hosts: Vec<String>,
    active: Option<VersionId>,
    canary: Option<(VersionId, String)>,
    versions: Vec<Version>,
}

#[derive(Serialize, Deserialize)]
struct Version {
    id: VersionId,
    state: VersionState,
    endpoints: Vec<SocketAddr>,
    http2: bool,
}

impl Kept {
    /// The file in a data directory, which must exist.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self(StateFile::new(data_dir, FILE, FORMAT, "apps of the cluster are routed once the API answers"))
    }

    /// What was kept; nothing on the first start, and nothing of a file that is damaged.
    pub(crate) fn load(&self) -> Result<Option<Memory>, KeptError> {
        Ok(self.0.load()?.map(|file: File| file.into()))
    }

    /// What would be routed without the API, without touching a damaged file.
    ///
    /// # Errors
    /// If the file is there but can't be read.
    pub fn peek(&self) -> Result<VersionSnapshot, KeptError> {
        let memory = self.0.peek()?.map(|file: File| Memory::from(file));
        Ok(memory.map_or_else(VersionSnapshot::default, |memory| VersionSnapshot {
            generation: 1,
            stale: true,
            apps: memory.apps,
        }))
    }

    /// Replaces what was kept.
    pub(crate) fn save(&self, memory: &Memory) -> Result<(), KeptError> {
        self.0.save(&File::from(memory))
    }
}

impl From<&Memory> for File {
    fn from(memory: &Memory) -> Self {
        let app = |app: &Arc<AppSnapshot>| {
            let grant = app.grant.as_ref()?;
            Some(App {
                claim: Claim::clone(&grant.claim),
                hosts: grant.hosts.clone(),
                active: app.active.clone(),
                canary: app.canary.as_ref().map(|canary| (canary.version.clone(), canary.share.to_string())),
                versions: app.versions.iter().map(Version::from).collect(),
            })
        };
        Self { apps: memory.apps.iter().filter_map(app).collect(), minted: memory.minted.clone() }
    }
}

impl From<File> for Memory {
    fn from(file: File) -> Self {
        Self { apps: file.apps.into_iter().map(|app| Arc::new(app.into())).collect(), minted: file.minted }
    }
}

impl From<App> for AppSnapshot {
    fn from(app: App) -> Self {
        let share =
            |(version, share): (VersionId, String)| Some(Canary { version, share: share.parse().ok()? });
        Self {
            id: app.claim.id.clone(),
            active: app.active,
            canary: app.canary.and_then(share),
            versions: app.versions.into_iter().map(VersionStatus::from).collect(),
            grant: Some(Arc::new(Grant { claim: Arc::new(app.claim), hosts: app.hosts })),
        }
    }
}

impl From<&VersionStatus> for Version {
    fn from(status: &VersionStatus) -> Self {
        Self {
            id: status.id.clone(),
            state: status.state,
            endpoints: status.endpoints.to_vec(),
            http2: status.http2,
        }
    }
}

impl From<Version> for VersionStatus {
    fn from(version: Version) -> Self {
        let Version { id, state, endpoints, http2 } = version;
        Self { id, state, endpoints: endpoints.into(), http2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        let claim = Claim {
            id: "web/shop".parse().unwrap(),
            spec: None,
            hosts: vec!["shop.example".to_owned()],
            path: Some("/shop".to_owned()),
            expire_policy: Some("http-traffic".to_owned()),
        };
        let version = VersionStatus {
            id: "v1".parse().unwrap(),
            state: VersionState::Active,
            endpoints: [([10, 0, 0, 1], 3000).into()].into(),
            http2: true,
        };
        let app = AppSnapshot {
            id: claim.id.clone(),
            active: Some("v1".parse().unwrap()),
            canary: Some(Canary { version: "v2".parse().unwrap(), share: "12.5%".parse().unwrap() }),
            versions: vec![version],
            grant: Some(Arc::new(Grant { claim: Arc::new(claim), hosts: vec!["shop.example".to_owned()] })),
        };
        let minted = MintedId { uid: "u".to_owned(), template: "t".to_owned(), id: "plt_x".parse().unwrap() };
        Memory { apps: vec![Arc::new(app)], minted: BTreeMap::from([("web".to_owned(), vec![minted])]) }
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path());
        assert_eq!(kept.load().unwrap(), None);
        kept.save(&memory()).unwrap();
        assert_eq!(kept.load().unwrap(), Some(memory()));
    }
}
