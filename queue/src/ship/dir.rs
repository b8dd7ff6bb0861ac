//! Objects as files below a directory.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::hash::Hash;
use super::key::ObjectName;
use super::sink::{Object, Put, PutError, Sink};

mod expire;
mod list;
#[cfg(test)]
mod tests;

const SIGNATURE: &str = ".sig";
const TEMPORARY: &str = ".tmp";
/// Directories that are known to be tidy. An hour has one, and uploads are of few hours at a time.
const TIDIED: usize = 16;

/// A directory of objects: each is written under another name, synced, and then gets its own, unless
/// that is taken. Files have mode 0600; a signature is in a file of its own that ends in `.sig`.
///
/// What is unfinished after a crash begins with `.`, and goes with the next object of its node and hour.
#[derive(Debug, Clone)]
pub struct DirSink {
    root: PathBuf,
    /// The last directories in which leftovers of an earlier process were looked for.
    tidied: Arc<Mutex<VecDeque<PathBuf>>>,
}

impl DirSink {
    /// A sink below a directory, which is made if need be.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), tidied: Arc::default() }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    fn put_now(&self, object: &Object) -> Result<Put, PutError> {
        let path = self.path(&object.key);
        let put = self.store(&path, object).map_err(of_io)?;
        if put == Put::AlreadyThere {
            let existing = hash_of(&path).map_err(of_io)?;
            if existing != object.sha256 {
                return Err(PutError::Conflict { existing });
            }
        }
        Ok(put)
    }

    fn store(&self, path: &Path, object: &Object) -> io::Result<Put> {
        let dir = path.parent().unwrap_or(&self.root);
        make_dirs(dir)?;
        self.tidy(dir, &object.key)?;
        let put = write_new(dir, path, &object.bytes)?;
        if let Some(signature) = &object.signature
            && (put == Put::Stored || hash_of(path)? == object.sha256)
        {
            // One that is there was made when the object was.
            write_new(dir, &signature_path(path), format!("{signature}\n").as_bytes())?;
        }
        // Also what was there may be so new that its name is not on disk.
        File::open(dir)?.sync_all()?;
        Ok(put)
    }

    /// Removes what an earlier process of this node left unfinished.
    fn tidy(&self, dir: &Path, key: &str) -> io::Result<()> {
        let Some(ObjectName { node, .. }) = ObjectName::parse(key) else { return Ok(()) };
        // Held until it is tidy: what others begin to write here meanwhile is no leftover.
        let mut tidied = self.tidied.lock();
        if tidied.iter().any(|tidy| tidy == dir) {
            return Ok(());
        }
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let unfinished = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(TEMPORARY));
            let of = unfinished.and_then(|name| ObjectName::parse(name.split_once('~')?.0));
            if of.is_some_and(|of| of.node == node) {
                fs::remove_file(entry.path())?;
            }
        }
        tidied.truncate(TIDIED - 1);
        tidied.push_front(dir.to_owned());
        Ok(())
    }
}

#[async_trait]
impl Sink for DirSink {
    async fn put(&self, object: &Object) -> Result<Put, PutError> {
        let (sink, object) = (self.clone(), object.clone());
        let put = tokio::task::spawn_blocking(move || sink.put_now(&object));
        put.await.unwrap_or_else(|error| Err(PutError::Retry(error.into())))
    }
}

fn signature_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SIGNATURE);
    PathBuf::from(name)
}

/// Writes a file and gives it its name only when it is on disk, and only if nothing has that name.
fn write_new(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<Put> {
    if path.try_exists()? {
        return Ok(Put::AlreadyThere);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut file =
        tempfile::Builder::new().prefix(&format!(".{name}~")).suffix(TEMPORARY).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(Put::Stored),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(Put::AlreadyThere),
        Err(error) => Err(error.error),
    }
}

/// Makes a directory and those above it, for good.
fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    make_dirs(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}

fn hash_of(path: &Path) -> io::Result<Hash> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(Hash::from(<[u8; 32]>::from(hasher.finalize())))
}

fn of_io(error: io::Error) -> PutError {
    match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::InvalidFilename => PutError::Refused(error.into()),
        _ => PutError::Retry(error.into()),
    }
}

/// The object's file and its signature.
fn read(path: &Path) -> io::Result<(Bytes, Option<String>)> {
    let bytes = Bytes::from(fs::read(path)?);
    match fs::read_to_string(signature_path(path)) {
        Ok(signature) => Ok((bytes, Some(signature))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((bytes, None)),
        Err(error) => Err(error),
    }
}
