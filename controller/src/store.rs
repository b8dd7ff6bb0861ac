//! Keeps the records of static apps in `data_dir/versions.json`, so that a restart undoes no
//! promotion.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::record::AppRecord;
use crate::state_file::StateFile;
pub use crate::state_file::StateFileError as StoreError;

/// The file's name in the data directory.
pub const FILE: &str = "versions.json";
/// The format that this release reads and writes.
const FORMAT: u32 = 1;

/// All records, by the text of the app's identity.
pub type Records = BTreeMap<String, AppRecord>;

/// The state file.
#[derive(Debug, Clone)]
pub struct Store(StateFile);

#[derive(Serialize, Deserialize)]
struct Kept {
    apps: Records,
}

impl Store {
    /// The store in a data directory, which must exist.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self(StateFile::new(data_dir, FILE, FORMAT, "the states of versions begin anew"))
    }

    /// What was kept; nothing on the first start, and nothing of a file that is damaged: that one
    /// is renamed, so that somebody can look at it.
    ///
    /// # Errors
    /// If the file is there but can't be read or set aside.
    pub fn load(&self) -> Result<Records, StoreError> {
        Ok(self.0.load()?.map_or_else(Records::new, |kept: Kept| kept.apps))
    }

    /// What was kept, as [`load`](Self::load) finds it, but without touching a damaged file.
    ///
    /// # Errors
    /// If the file is there but can't be read.
    pub fn peek(&self) -> Result<Records, StoreError> {
        Ok(self.0.peek()?.map_or_else(Records::new, |kept: Kept| kept.apps))
    }

    /// Replaces what was kept.
    ///
    /// # Errors
    /// If the disk does not take it; what was kept before is still there.
    pub fn save(&self, records: Records) -> Result<(), StoreError> {
        self.0.save(&Kept { apps: records })
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
        assert_eq!((store.peek().unwrap(), store.load().unwrap()), (records.clone(), records));
    }
}
