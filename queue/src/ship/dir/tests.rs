//! What is in the directory afterwards.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::ship::verify::Archive as _;
use crate::ship::{Compression, Signature};

fn object(key: &str, bytes: &'static str) -> Object {
    Object {
        key: key.to_owned(),
        bytes: Bytes::from_static(bytes.as_bytes()),
        sha256: Hash::of(bytes.as_bytes()),
        compression: Compression::None,
        first: 0,
        last: 0,
        head: Hash::NONE,
        signature: Some(Signature(vec![0xab])),
    }
}

fn key(hour: u32, number: u64) -> String {
    format!("a/hour={hour:02}/node-{number:020}-{number:020}.jsonl")
}

#[tokio::test]
async fn objects_are_private_files_that_nothing_overwrites() {
    let dir = tempfile::tempdir().unwrap();
    let sink = DirSink::new(dir.path().join("not/there/yet"));
    assert_eq!(sink.put(&object(&key(1, 1), "one")).await.unwrap(), Put::Stored);
    assert_eq!(sink.put(&object(&key(1, 1), "one")).await.unwrap(), Put::AlreadyThere);
    let conflict = sink.put(&object(&key(1, 1), "two")).await;
    assert!(matches!(conflict, Err(PutError::Conflict { existing }) if existing == Hash::of(b"one")));
    let path = dir.path().join("not/there/yet").join(key(1, 1));
    for (path, contents) in [(path.clone(), "one"), (signature_path(&path), "ab\n")] {
        assert_eq!(fs::read_to_string(&path).unwrap(), contents);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2, "nothing else is left");
    let found = sink.get(&key(1, 1)).await.unwrap();
    assert_eq!((&*found.bytes, found.signature.as_deref()), (&b"one"[..], Some("ab\n")));
    // A crash came between the object and its signature.
    fs::remove_file(signature_path(&path)).unwrap();
    assert_eq!(sink.put(&object(&key(1, 1), "one")).await.unwrap(), Put::AlreadyThere);
    assert!(signature_path(&path).exists());
}

#[tokio::test]
async fn leftovers_of_this_node_are_removed_and_those_of_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let hour = dir.path().join("a/hour=01");
    fs::create_dir_all(&hour).unwrap();
    let leftover = |node: &str| hour.join(format!(".{node}-{:020}-{:020}.jsonl~x{TEMPORARY}", 7, 7));
    fs::write(leftover("node"), "half").unwrap();
    fs::write(leftover("node-2"), "half").unwrap();
    let sink = DirSink::new(dir.path());
    sink.put(&object(&key(1, 1), "one")).await.unwrap();
    assert!(!leftover("node").exists() && leftover("node-2").exists());
    assert_eq!(sink.list("", None).await.unwrap(), [key(1, 1)]);
}

#[tokio::test]
async fn a_sink_that_lives_long_remembers_few_hours() {
    let dir = tempfile::tempdir().unwrap();
    let sink = DirSink::new(dir.path());
    for hour in 0..100 {
        sink.put(&object(&key(hour, 1), "one")).await.unwrap();
    }
    let known: Vec<PathBuf> = sink.tidied.lock().iter().cloned().collect();
    assert_eq!(known.len(), TIDIED);
    assert_eq!(known.first(), Some(&dir.path().join("a/hour=99")));
}

#[tokio::test]
async fn keys_are_listed_in_order_and_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let sink = DirSink::new(dir.path());
    assert!(sink.list("", None).await.unwrap().is_empty());
    let mut keys: Vec<String> =
        (0..3).flat_map(|hour| (0..700).map(move |number| key(hour, number))).collect();
    for key in &keys {
        fs::create_dir_all(dir.path().join(key).parent().unwrap()).unwrap();
        fs::write(dir.path().join(key), "").unwrap();
    }
    fs::write(dir.path().join("a/hour=00.txt"), "").unwrap();
    fs::write(dir.path().join("b.txt"), "").unwrap();
    let lost = dir.path().join("a/lost+found");
    fs::create_dir(&lost).unwrap();
    fs::write(lost.join("#12"), "").unwrap();
    keys.push("a/hour=00.txt".to_owned());
    keys.sort();
    let mut listed: Vec<String> = Vec::new();
    loop {
        let page = sink.list("a/", listed.last().map(String::as_str)).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 1000);
        listed.extend(page);
    }
    assert_eq!(listed, keys);
}

#[tokio::test]
async fn what_can_not_be_written_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a file, not a directory").unwrap();
    let put = DirSink::new(dir.path()).put(&object(&key(1, 1), "one")).await;
    assert!(matches!(put, Err(PutError::Refused(_))), "{put:?}");
}
