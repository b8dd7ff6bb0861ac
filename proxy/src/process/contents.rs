//! What the configuration was read from: its file and all that it names, each with a digest taken
//! before it was read. A difference therefore means that something newer is there to be read; it
//! can never be missed.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use crate::config::{self, Config, ConfigErrors};

/// Times that a file is read again because it named files that were not digested yet.
const MAX_ROUNDS: usize = 4;

/// Files and their digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    digests: BTreeMap<PathBuf, u64>,
}

type Loaded = Result<Config, ConfigErrors>;

impl Contents {
    /// Reads a configuration with `load`, for the first time.
    pub(super) fn load(file: &Path, load: impl Fn() -> Loaded) -> (Self, Loaded) {
        Self::of([file.to_owned()]).load_again(load)
    }

    /// Reads it again. Files that are named for the first time are digested and everything is read
    /// once more, so that each digest is older than what was read.
    pub(super) fn load_again(&self, load: impl Fn() -> Loaded) -> (Self, Loaded) {
        let mut contents = Self::of(self.digests.keys().cloned());
        let mut loaded = load();
        for _ in 0..MAX_ROUNDS {
            let named = match &loaded {
                Ok(config) => config.files(),
                Err(errors) => errors.files().clone(),
            };
            if !contents.add(named) {
                break;
            }
            loaded = load();
        }
        (contents, loaded)
    }

    /// The files.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.digests.keys().map(PathBuf::as_path)
    }

    /// Whether any of them is another now.
    pub(super) async fn changed(&self) -> bool {
        // Reading can't panic; if it did, one more reload would be the least of it.
        self.look().await.is_none_or(|now| now != *self)
    }

    /// The same files as they are now.
    pub(super) async fn look(&self) -> Option<Self> {
        let files: Vec<_> = self.digests.keys().cloned().collect();
        tokio::task::spawn_blocking(move || Self::of(files)).await.ok()
    }

    /// Whether one of them is there and empty, as none of them should be.
    pub(super) fn has_empty(&self) -> bool {
        self.digests.values().any(|digest| *digest == digest_of(&Some(Vec::new())))
    }

    fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { digests: files.into_iter().map(|file| (digest(&file), file)).map(|(d, f)| (f, d)).collect() }
    }

    /// Digests what is new; true if anything was.
    fn add(&mut self, files: BTreeSet<PathBuf>) -> bool {
        let before = self.digests.len();
        for file in files {
            self.digests.entry(file).or_insert_with_key(|file| digest(file));
        }
        self.digests.len() > before
    }
}

fn digest(file: &Path) -> u64 {
    digest_of(&config::read_file(file).ok())
}

fn digest_of(contents: &Option<Vec<u8>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn an_edit_at_any_moment_shows() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lockstep.yaml");
        let token = dir.path().join("token");
        fs::write(&token, "one").unwrap();
        let text = "server:\n  data_dir: d\n  listen: [{addr: 127.0.0.1:0}]\n  admin: {tokens: [{name: a, token: {file: token}}]}\napps: []\n";
        fs::write(&file, text).unwrap();
        let loads = Cell::new(0);
        let load = || {
            loads.set(loads.get() + 1);
            let loaded = config::load(&file);
            if loads.get() == 2 {
                // Between reading and returning.
                fs::write(&token, "two").unwrap();
            }
            loaded
        };
        let (contents, loaded) = Contents::load(&file, load);
        loaded.unwrap();
        assert_eq!((loads.get(), contents.files().count()), (2, 2));
        assert!(contents.changed().await);
        let (contents, _) = contents.load_again(|| config::load(&file));
        assert!(!contents.changed().await);
        assert!(!contents.has_empty());
        fs::write(&token, "").unwrap();
        assert!(contents.look().await.unwrap().has_empty());
        fs::remove_file(&token).unwrap();
        assert!(contents.changed().await && !contents.look().await.unwrap().has_empty());
    }
}
