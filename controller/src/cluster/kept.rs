//! Keeps what was last routed of the cluster in `data_dir/cluster.json`, replaced atomically, so
//! that a restart without the API still routes. A damaged file is set aside and never stops a start
//! (promise P7).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::claim::Claim;
use super::grants::Grant;
use crate::{AppSnapshot, Canary, VersionId, VersionSnapshot, VersionState, VersionStatus};

/// The file's name in the data directory.
pub const FILE: &str = "cluster.json";
/// The format that this release reads and writes.
const FORMAT: u32 = 1;

/// The file.
#[derive(Debug, Clone)]
pub struct Kept {
    path: PathBuf,
}

/// What is kept can't be read or written.
#[derive(Debug, Error)]
#[error("{}: {source}", path.display())]
pub struct KeptError {
    path: PathBuf,
    source: io::Error,
}

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
    v: u32,
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
        Self { path: data_dir.join(FILE) }
    }

    /// What was kept; nothing on the first start, and nothing of a file that is damaged: that one
    /// is renamed, so that somebody can look at it.
    pub(crate) fn load(&self) -> Result<Option<Memory>, KeptError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.error(source)),
        };
        let damaged = match serde_json::from_slice::<File>(&text) {
            Ok(file) if file.v == FORMAT => return Ok(Some(file.into())),
            Ok(file) => format!("format {} is unknown", file.v),
            Err(error) => error.to_string(),
        };
        let aside = self.path.with_extension("json.damaged");
        fs::rename(&self.path, &aside).map_err(|source| self.error(source))?;
        tracing::error!(
            file = %self.path.display(), kept_as = %aside.display(), why = damaged,
            "what was kept of the cluster is damaged and was set aside; routing waits for the API",
        );
        Ok(None)
    }

    /// What would be routed without the API, without touching a damaged file.
    ///
    /// # Errors
    /// If the file is there but can't be read.
    pub fn peek(&self) -> Result<VersionSnapshot, KeptError> {
        match fs::read(&self.path) {
            Ok(text) => {
                let memory: Memory =
                    serde_json::from_slice::<File>(&text).map(Memory::from).unwrap_or_default();
                Ok(VersionSnapshot { generation: 1, stale: true, apps: memory.apps })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(VersionSnapshot::default()),
            Err(source) => Err(self.error(source)),
        }
    }

    /// Replaces what was kept.
    pub(crate) fn save(&self, memory: &Memory) -> Result<(), KeptError> {
        self.write(&File::from(memory)).map_err(|source| self.error(source))
    }

    fn write(&self, file: &File) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        // Created with mode 0600.
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        new.write_all(&serde_json::to_vec(file)?)?;
        new.as_file().sync_all()?;
        new.persist(&self.path).map_err(|error| error.error)?;
        fs::File::open(directory)?.sync_all()
    }

    fn error(&self, source: io::Error) -> KeptError {
        KeptError { path: self.path.clone(), source }
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
        Self { v: FORMAT, apps: memory.apps.iter().filter_map(app).collect(), minted: memory.minted.clone() }
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
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(dir.path());
        for damaged in ["", "{\"v\":1,\"apps\":[{", "{\"v\":9,\"apps\":[],\"minted\":{}}", "\u{0}"] {
            fs::write(dir.path().join(FILE), damaged).unwrap();
            assert_eq!(kept.load().unwrap(), None, "{damaged:?}");
            assert_eq!(fs::read_to_string(dir.path().join("cluster.json.damaged")).unwrap(), damaged);
            assert!(!dir.path().join(FILE).exists());
        }
    }
}
