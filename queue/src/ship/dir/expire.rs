//! Removes objects of hours that are long over.

use std::fs::{self, DirEntry, FileType};
use std::io;
use std::path::Path;

use super::DirSink;
use crate::ship::key;

/// The levels of directories below a prefix, and how each begins.
const LEVELS: [&str; 4] = ["year=", "month=", "day=", "hour="];

/// A walk through what there is.
struct Sweep<'s> {
    first_kept: &'s str,
    remove_file: fn(&Path) -> io::Result<()>,
    removed: u64,
    /// The first thing that went wrong. What is elsewhere is removed all the same.
    failed: Option<io::Error>,
}

impl DirSink {
    /// Removes all objects with a prefix (empty, or ending in `/`) whose hour ended before a moment, in
    /// milliseconds since 1970, and the directories that are empty then; tells how many files went. What
    /// is no object's directory is left alone. Takes as long as the file system does.
    ///
    /// # Errors
    /// If the file system refuses something: the first thing that it said. All that it lets go is gone.
    pub fn remove_before(&self, prefix: &str, at_millis: u64) -> io::Result<u64> {
        let first_kept = key::directory(key::hour_of(at_millis));
        Sweep::new(&first_kept, |path| fs::remove_file(path)).run(&self.root.join(prefix))
    }
}

impl<'s> Sweep<'s> {
    fn new(first_kept: &'s str, remove_file: fn(&Path) -> io::Result<()>) -> Self {
        Self { first_kept, remove_file, removed: 0, failed: None }
    }

    fn run(mut self, root: &Path) -> io::Result<u64> {
        self.level(root, &LEVELS, &mut Vec::new());
        self.failed.map_or(Ok(self.removed), Err)
    }

    fn level(&mut self, dir: &Path, levels: &[&str], at: &mut Vec<String>) {
        let Some((level, below)) = levels.split_first() else { return self.files(dir) };
        for entry in self.entries(dir) {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let number = name.strip_prefix(level);
            let is_level = number.is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()));
            if !is_level || !self.is(&entry, FileType::is_dir) {
                continue;
            }
            at.push(name);
            // Digits are padded: the order of names is that of hours. A directory that is the beginning of
            // the first one that is kept may hold older ones.
            let path = at.join("/");
            if path.as_str() < self.first_kept {
                self.level(&entry.path(), below, at);
                if !self.first_kept.starts_with(&path) {
                    self.note(remove_empty(&entry.path()));
                }
            }
            at.pop();
        }
    }

    fn files(&mut self, dir: &Path) {
        for entry in self.entries(dir) {
            if self.is(&entry, FileType::is_file) && self.note((self.remove_file)(&entry.path())).is_some() {
                self.removed += 1;
            }
        }
    }

    /// What can be read of a directory.
    fn entries(&mut self, dir: &Path) -> Vec<DirEntry> {
        let entries = self.note(fs::read_dir(dir)).into_iter().flatten();
        entries.filter_map(|entry| self.note(entry)).collect()
    }

    fn is(&mut self, entry: &DirEntry, kind: fn(&FileType) -> bool) -> bool {
        self.note(entry.file_type()).is_some_and(|found| kind(&found))
    }

    /// What is gone already needs no removal.
    fn note<T>(&mut self, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }
}

/// A directory that somebody put something else into stays.
fn remove_empty(dir: &Path) -> io::Result<()> {
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_that_are_over_go_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let sink = DirSink::new(root.path());
        let hours = [
            ("year=2025/month=12/day=31/hour=23", false),
            ("year=2026/month=01/day=31/hour=00", false),
            ("year=2026/month=02/day=01/hour=09", false),
            ("year=2026/month=02/day=01/hour=10", true),
            ("year=2026/month=11/day=01/hour=00", true),
            ("other/month=01/day=01/hour=00", true),
        ];
        for (hour, _) in hours {
            let dir = root.path().join("audit").join(hour);
            fs::create_dir_all(&dir).unwrap();
            for name in ["a.jsonl", "a.jsonl.sig"] {
                fs::write(dir.join(name), "").unwrap();
            }
        }
        let at = "2026-02-01T10:59:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let at = u64::try_from(at).unwrap();
        assert_eq!(sink.remove_before("audit/", at).unwrap(), 6);
        for (hour, stays) in hours {
            assert_eq!(root.path().join("audit").join(hour).exists(), stays, "{hour}");
        }
        assert!(!root.path().join("audit/year=2025").exists());
        assert!(!root.path().join("audit/year=2026/month=01").exists());
        assert_eq!(sink.remove_before("audit/", at).unwrap(), 0);
        assert_eq!(sink.remove_before("nothing/", at).unwrap(), 0);
    }

    #[test]
    fn what_can_not_be_removed_keeps_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let hours = ["year=2026/month=01/day=01/hour=00", "year=2026/month=01/day=01/hour=01"];
        for hour in hours {
            let dir = root.path().join(hour);
            fs::create_dir_all(&dir).unwrap();
            for name in ["a.jsonl", "stuck.jsonl", "z.jsonl"] {
                fs::write(dir.join(name), "").unwrap();
            }
        }
        fs::create_dir_all(root.path().join("year=2026/month=01/day=02/hour=00")).unwrap();
        let removal = Sweep::new("year=2027", |path| {
            let stuck = path.ends_with("stuck.jsonl");
            if stuck { Err(io::ErrorKind::PermissionDenied.into()) } else { fs::remove_file(path) }
        });
        assert_eq!(removal.run(root.path()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        for hour in hours {
            let left: Vec<_> = fs::read_dir(root.path().join(hour)).unwrap().collect();
            assert_eq!(left.len(), 1, "{hour}");
        }
        assert!(!root.path().join("year=2026/month=01/day=02").exists());
    }
}
