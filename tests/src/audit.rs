//! What an instance shipped to a directory, without compression.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The objects below a directory, in the order of their names.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    let objects = entries.into_iter().flat_map(below);
    objects.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect()
}

/// All records below a directory, in the order of their objects.
///
/// # Panics
/// If one can't be read.
pub fn shipped(dir: &Path) -> Vec<Value> {
    let texts = files(dir).into_iter().map(|file| std::fs::read_to_string(file).expect("an object"));
    texts
        .flat_map(|text| {
            text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect::<Vec<Value>>()
        })
        .collect()
}
