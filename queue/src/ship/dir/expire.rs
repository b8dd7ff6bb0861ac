//! Removes objects of hours that are long over.

use std::fs;
use std::io;
use std::path::Path;

use super::DirSink;
use crate::ship::key;

/// The levels of directories below a prefix, and how each begins.
const LEVELS: [&str; 4] = ["year=", "month=", "day=", "hour="];

impl DirSink {
    /// Removes all objects with a prefix (empty, or ending in `/`) whose hour ended before a moment, in
    /// milliseconds since 1970, and the directories that are empty then; tells how many files went. What
    /// is no object's directory is left alone. Takes as long as the file system does.
    ///
    /// # Errors
    /// If the file system refuses; what was removed by then is gone.
    pub fn remove_before(&self, prefix: &str, at_millis: u64) -> io::Result<u64> {
        let first_kept = key::directory(key::hour_of(at_millis));
        let mut removed = 0;
        sweep(&self.root.join(prefix), &LEVELS, &mut Vec::new(), &first_kept, &mut removed)?;
        Ok(removed)
    }
}

fn sweep(
    dir: &Path,
    levels: &[&str],
    at: &mut Vec<String>,
    first_kept: &str,
    removed: &mut u64,
) -> io::Result<()> {
    let Some((level, below)) = levels.split_first() else { return remove_files(dir, removed) };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_level = name.strip_prefix(level).is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()));
        if !is_level || !entry.file_type()?.is_dir() {
            continue;
        }
        at.push(name);
        // Digits are padded: the order of names is that of hours. A directory that is the beginning of
        // the first one that is kept may hold older ones.
        let path = at.join("/");
        if path.as_str() < first_kept {
            sweep(&entry.path(), below, at, first_kept, removed)?;
            if !first_kept.starts_with(&path) {
                remove_empty(&entry.path())?;
            }
        }
        at.pop();
    }
    Ok(())
}

fn remove_files(dir: &Path, removed: &mut u64) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            *removed += 1;
        }
    }
    Ok(())
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
}
