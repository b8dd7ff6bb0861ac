//! A file of the data directory that holds state as JSON and a number for its format. It is replaced
//! atomically, and set aside if it is damaged: it never stops a start (promise P7).

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A file with state. Its user says what is in it.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// The format that this release reads and writes.
    format: u32,
    /// What a damaged file leads to, for the log.
    loss: &'static str,
}

/// The file can't be read or written.
#[derive(Debug, Error)]
#[error("{}: {source}", path.display())]
pub struct StateFileError {
    path: PathBuf,
    source: io::Error,
}

#[derive(Serialize, Deserialize)]
struct Framed<T> {
    v: u32,
    #[serde(flatten)]
    state: T,
}

impl StateFile {
    /// The file of that name in a data directory, which must exist.
    pub(crate) fn new(data_dir: &Path, name: &str, format: u32, loss: &'static str) -> Self {
        Self { path: data_dir.join(name), format, loss }
    }

    /// What is in it; nothing if there is none, and nothing of one that is damaged: that one is
    /// renamed, so that somebody can look at it.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Result<Option<T>, StateFileError> {
        match self.read()? {
            None => Ok(None),
            Some(Ok(state)) => Ok(Some(state)),
            Some(Err(why)) => self.set_aside(&why),
        }
    }

    /// As [`load`](Self::load), but without touching a damaged file.
    pub(crate) fn peek<T: DeserializeOwned>(&self) -> Result<Option<T>, StateFileError> {
        Ok(self.read()?.and_then(Result::ok))
    }

    /// Replaces what is in it. If that fails, what was there is still there.
    pub(crate) fn save<T: Serialize>(&self, state: &T) -> Result<(), StateFileError> {
        self.write(&Framed { v: self.format, state }).map_err(|source| self.error(source))
    }

    /// The state, or what is wrong with it.
    fn read<T: DeserializeOwned>(&self) -> Result<Option<Result<T, String>>, StateFileError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.error(source)),
        };
        Ok(Some(match serde_json::from_slice::<Framed<T>>(&text) {
            Ok(file) if file.v == self.format => Ok(file.state),
            Ok(file) => Err(format!("format {} is unknown", file.v)),
            Err(error) => Err(error.to_string()),
        }))
    }

    fn write(&self, file: &impl Serialize) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        // Created with mode 0600.
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        // Written in one piece: a buffered writer would lose the error of a full disk when dropped.
        new.write_all(&serde_json::to_vec(file)?)?;
        new.as_file().sync_all()?;
        new.persist(&self.path).map_err(|error| error.error)?;
        fs::File::open(directory)?.sync_all()
    }

    fn set_aside<T>(&self, why: &str) -> Result<Option<T>, StateFileError> {
        let aside = self.path.with_extension("json.damaged");
        fs::rename(&self.path, &aside).map_err(|source| self.error(source))?;
        tracing::error!(
            file = %self.path.display(), kept_as = %aside.display(), why, loss = self.loss,
            "a file with state is damaged and was set aside",
        );
        Ok(None)
    }

    fn error(&self, source: io::Error) -> StateFileError {
        StateFileError { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct State {
        apps: BTreeMap<String, u32>,
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "state.json", 1, "");
        assert_eq!(file.load::<State>().unwrap(), None);
        let state = State { apps: BTreeMap::from([("shop".to_owned(), 7)]) };
        file.save(&state).unwrap();
        assert_eq!(file.peek().unwrap().as_ref(), Some(&state));
        assert_eq!(file.load().unwrap(), Some(state));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::new(dir.path(), "state.json", 1, "");
        for damaged in ["", "{\"v\":1,\"apps\":{", "{\"v\":99,\"apps\":{}}", "{\"v\":1}", "\u{0}\u{0}"] {
            fs::write(dir.path().join("state.json"), damaged).unwrap();
            assert_eq!(file.peek::<State>().unwrap(), None, "{damaged:?}");
            assert!(dir.path().join("state.json").exists());
            assert_eq!(file.load::<State>().unwrap(), None, "{damaged:?}");
            assert_eq!(fs::read_to_string(dir.path().join("state.json.damaged")).unwrap(), damaged);
            assert!(!dir.path().join("state.json").exists());
        }
    }
}
