//! What is in a directory of objects, in the order of the keys.

use std::fs;
use std::io;
use std::path::Path;

use async_trait::async_trait;

use super::{DirSink, SIGNATURE};
use crate::ship::verify::{Archive, ArchiveError, Found};

/// Keys that are listed at once.
const PAGE: usize = 1000;
/// Where a file system keeps what it lost, for root alone.
const LOST_AND_FOUND: &str = "lost+found";

#[async_trait]
impl Archive for DirSink {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, ArchiveError> {
        let (sink, prefix, after) = (self.clone(), prefix.to_owned(), after.map(str::to_owned));
        let list = tokio::task::spawn_blocking(move || {
            let mut walk = Walk { prefix: &prefix, after: after.as_deref(), keys: Vec::new() };
            walk.dir(&sink.root, "").map(|()| walk.keys)
        });
        list.await.map_err(ArchiveError::new)?.map_err(ArchiveError::new)
    }

    async fn get(&self, key: &str) -> Result<Found, ArchiveError> {
        let path = self.path(key);
        let read = tokio::task::spawn_blocking(move || super::read(&path));
        let (bytes, signature) = read.await.map_err(ArchiveError::new)?.map_err(ArchiveError::new)?;
        Ok(Found { bytes, signature })
    }
}

struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    keys: Vec<String>,
}

impl Walk<'_> {
    /// Goes through one directory, whose entries are all that is held in memory.
    fn dir(&mut self, dir: &Path, at: &str) -> io::Result<()> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && at.is_empty() => return Ok(()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            let Ok(mut name) = entry.file_name().into_string() else { continue };
            if is_dir && name == LOST_AND_FOUND {
                continue;
            }
            if is_dir {
                name.push('/');
            }
            // What begins with a point is not finished.
            if !name.starts_with('.') && !name.ends_with(SIGNATURE) {
                names.push(name);
            }
        }
        names.sort_unstable();
        for name in names {
            if self.keys.len() >= PAGE {
                break;
            }
            let key = format!("{at}{name}");
            if key.ends_with('/') && self.leads_on(&key) {
                self.dir(&dir.join(&name), &key)?;
            } else if !key.ends_with('/') && self.is_wanted(&key) {
                self.keys.push(key);
            }
        }
        Ok(())
    }

    fn leads_on(&self, dir: &str) -> bool {
        let in_prefix = dir.starts_with(self.prefix) || self.prefix.starts_with(dir);
        in_prefix && self.after.is_none_or(|after| dir > after || after.starts_with(dir))
    }

    fn is_wanted(&self, key: &str) -> bool {
        key.starts_with(self.prefix) && self.after.is_none_or(|after| key > after)
    }
}
