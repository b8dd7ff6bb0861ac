//! Finds the place of a key again, for mistakes that show only later, such as a port in use.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigErrors, Place};
use super::server::DATA_DIR;
use super::tree::{self, Kind, Node};

/// Mistakes of a file that was read before: pairs of a key's path, such as `server.listen[0].addr`,
/// and what is wrong with its value.
#[must_use]
pub fn refuse(file: &Path, mistakes: Vec<(String, String)>) -> ConfigErrors {
    let root = std::fs::read_to_string(file).ok().and_then(|text| tree::parse(&text).ok());
    let errors =
        mistakes.into_iter().map(|(path, message)| match root.as_ref().map(|root| find(root, &path)) {
            Some(place) => ConfigError::at(file, place, &path, message),
            None => ConfigError { path, ..ConfigError::whole_file(file, message) },
        });
    ConfigErrors::new(errors.collect(), 0, BTreeSet::new())
}

/// The data directory that a file names or leaves to the default, even if all else in it is wrong.
#[must_use]
pub fn data_dir(file: &Path) -> Option<PathBuf> {
    let root = tree::parse(&std::fs::read_to_string(file).ok()?).ok()?;
    let named = step_into(&root, "server").and_then(|server| step_into(server, "data_dir"));
    match named.map(|named| &named.kind) {
        None | Some(Kind::Null) => Some(PathBuf::from(DATA_DIR)),
        Some(Kind::Scalar(text)) => Some(PathBuf::from(text)),
        Some(_) => None,
    }
}

/// The place of the value, or of the nearest thing around it: the value may be a default.
fn find(root: &Node, path: &str) -> Place {
    let mut node = root;
    for step in path.split(['.', '[']).map(|step| step.trim_end_matches(']')) {
        match step_into(node, step) {
            Some(next) => node = next,
            None => return node.place,
        }
    }
    node.place
}

fn step_into<'n>(node: &'n Node, step: &str) -> Option<&'n Node> {
    match &node.kind {
        Kind::Mapping(entries) => entries.iter().find(|entry| entry.key == step).map(|entry| &*entry.value),
        Kind::Sequence(items) => {
            step.parse().ok().and_then(|index: usize| items.get(index)).map(|item| &**item)
        }
        Kind::Null | Kind::Scalar(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_again() {
        let root = tree::parse("server:\n  listen:\n    - {addr: a}\n    - {addr: b}\n").unwrap();
        let at = |path| find(&root, path).to_string();
        assert_eq!(at("server.listen[1].addr"), "4:14");
        assert_eq!(at("server.listen[0].addr"), "3:14");
        assert_eq!(at("server.admin.addr"), "2:3");
    }

    #[test]
    fn the_data_directory_is_known_of_any_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [
            ("server: {data_dir: /there, listen: wrong}", Some("/there")),
            ("server: {data_dir: }", Some("./data")),
            ("apps: []", Some("./data")),
            ("server: {data_dir: [a]}", None),
            ("server: [", None),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(data_dir(file.path()), expected.map(PathBuf::from), "{text}");
        }
    }
}
