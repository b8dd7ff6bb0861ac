//! Keeps the records of static apps in `data_dir/versions.json`, replaced atomically, so that a
//! restart undoes no promotion. A damaged file is set aside and never stops a start (promise P7).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::record::AppRecord;

/// The file's name in the data directory.
pub const FILE: &str = "versions.json";
/// The format that this release reads and writes.
const FORMAT: u32 = 1;

/// All records, by the text of the app's identity.
pub type Records = BTreeMap<String, AppRecord>;

/// The state file.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
}

/// The state can't be read or kept.
#[derive(Debug, Error)]
#[error("{}: {source}", path.display())]
pub struct StoreError {
    path: PathBuf,
    source: io::Error,
}

#[derive(Serialize, Deserialize)]
struct File {
    v: u32,
    apps: Records,
}

impl Store {
    /// The store in a data directory, which must exist.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { path: data_dir.join(FILE) }
    }

    /// What was kept; nothing on the first start, and nothing of a file that is damaged: that one
    /// is renamed, so that somebody can look at it.
    ///
    /// # Errors
    /// If the file is there but can't be read or set aside.
    pub fn load(&self) -> Result<Records, StoreError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::new()),
            Err(source) => return Err(self.error(source)),
        };
        match serde_json::from_slice::<File>(&text) {
            Ok(file) if file.v == FORMAT => Ok(file.apps),
            Ok(file) => self.set_aside(&format!("format {} is unknown", file.v)),
            Err(error) => self.set_aside(&error.to_string()),
        }
    }

    /// What was kept, as [`load`](Self::load) finds it, but without touching a damaged file.
    ///
    /// # Errors
    /// If the file is there but can't be read.
    pub fn peek(&self) -> Result<Records, StoreError> {
        match fs::read(&self.path) {
            Ok(text) => Ok(serde_json::from_slice::<File>(&text).map(|file| file.apps).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Records::new()),
            Err(source) => Err(self.error(source)),
        }
    }

    /// Replaces what was kept.
    ///
    /// # Errors
    /// If the disk does not take it; what was kept before is still there.
    pub fn save(&self, records: Records) -> Result<(), StoreError> {
        self.write(&File { v: FORMAT, apps: records }).map_err(|source| self.error(source))
    }

    fn write(&self, file: &File) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        // Created with mode 0600.
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        // Written in one piece: a buffered writer would lose the error of a full disk when dropped.
        new.write_all(&serde_json::to_vec(file)?)?;
        new.as_file().sync_all()?;
        new.persist(&self.path).map_err(|error| error.error)?;
        fs::File::open(directory)?.sync_all()
    }

    fn set_aside(&self, why: &str) -> Result<Records, StoreError> {
        let aside = self.path.with_extension("json.damaged");
        fs::rename(&self.path, &aside).map_err(|source| self.error(source))?;
        tracing::error!(
            file = %self.path.display(), kept_as = %aside.display(), why,
            "the version states are damaged and were set aside; states begin anew",
        );
        Ok(Records::new())
    }

    fn error(&self, source: io::Error) -> StoreError {
        StoreError { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        assert!(store.load().unwrap().is_empty());
        let records = Records::from([("shop".to_owned(), AppRecord::default())]);
        store.save(records.clone()).unwrap();
        assert_eq!(store.load().unwrap(), records);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        for damaged in ["", "{\"v\":1,\"apps\":{", "{\"v\":99,\"apps\":{}}", "\u{0}\u{0}"] {
            fs::write(dir.path().join(FILE), damaged).unwrap();
            assert!(store.load().unwrap().is_empty(), "{damaged:?}");
            assert_eq!(fs::read_to_string(dir.path().join("versions.json.damaged")).unwrap(), damaged);
            assert!(!dir.path().join(FILE).exists());
        }
    }
}
