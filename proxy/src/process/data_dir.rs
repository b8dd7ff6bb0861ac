//! The data directory: made if it is missing, readable by its owner alone, used by one process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::StartError;

/// The file that the owning process holds a lock on.
const LOCK: &str = "lock";

/// A data directory that belongs to this process until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The lock ends with the file, also when the process is killed.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is missing, and claims it.
    ///
    /// # Errors
    /// If it can't be made or written, or another process has it.
    pub fn claim(path: &Path) -> Result<Self, StartError> {
        let failed = |source: io::Error| StartError::DataDir { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let lock = open(path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StartError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether a running process has the directory.
    #[must_use]
    pub fn is_in_use(path: &Path) -> bool {
        File::open(path.join(LOCK))
            .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join(LOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        assert!(!DataDir::is_in_use(&path));
        let held = DataDir::claim(&path).unwrap();
        assert!(DataDir::is_in_use(&path));
        assert!(matches!(DataDir::claim(&path), Err(StartError::InUse { .. })));
        drop(held);
        assert!(!DataDir::is_in_use(&path));
        DataDir::claim(&path).unwrap();
    }
}
