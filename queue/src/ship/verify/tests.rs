//! What is done to an archive, and what is found.

use super::*;
use crate::ship::chain::link;
use crate::ship::{Compression, Hash};

#[derive(Default)]
struct Objects(BTreeMap<String, (Vec<Vec<u8>>, Option<String>)>);

#[async_trait]
impl Archive for Objects {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, ArchiveError> {
        let wanted =
            |key: &&String| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after);
        Ok(self.0.keys().filter(wanted).take(3).cloned().collect())
    }
    async fn get(&self, key: &str) -> Result<Found, ArchiveError> {
        let (lines, signature) = &self.0[key];
        let mut encoder = Compression::Gzip.encoder().unwrap();
        lines.iter().for_each(|line| encoder.line(line).unwrap());
        Ok(Found { bytes: encoder.finish().unwrap().into(), signature: signature.clone() })
    }
}

/// A signature that is the head.
struct Heads;

impl CheckSignature for Heads {
    fn is_valid(&self, statement: &Statement<'_>, signature: &Signature) -> bool {
        signature.0 == statement.head.as_bytes()
    }
}

fn key(node: &str, first: u64, last: u64) -> String {
    format!("p/{node}-{first:020}-{last:020}.jsonl.gz")
}

/// Five objects of two lines of each of two nodes.
fn archive() -> Objects {
    let mut objects = Objects::default();
    for node in ["a", "b"] {
        let mut head = Hash::NONE;
        for first in (0..10).step_by(2) {
            let lines: Vec<_> = (first..first + 2)
                .map(|number| {
                    let line = link(format!(r#"{{"n":{number}}}"#).into_bytes(), head);
                    head = Hash::of(&line);
                    line
                })
                .collect();
            objects.0.insert(key(node, first, first + 1), (lines, Some(head.to_string())));
        }
    }
    objects
}

async fn findings(archive: &Objects) -> Vec<(String, Finding)> {
    let mut verifier = Verifier::new(archive, "p/", Some(&Heads));
    let mut all = Vec::new();
    while let Some(Checked { key, findings }) = verifier.next().await.unwrap() {
        all.extend(findings.into_iter().map(|finding| (key.clone(), finding)));
    }
    assert_eq!(verifier.summary().findings, all.len() as u64);
    all
}

#[tokio::test]
async fn every_kind_of_damage_is_found_where_it_is() {
    type Case = (&'static str, fn(&mut Objects), Vec<(String, Finding)>);
    let cases: [Case; 8] = [
        ("nothing", |_| (), vec![]),
        ("an expired beginning", |o| drop(o.0.remove(&key("a", 0, 1))), vec![]),
        (
            "an object is gone",
            |o| drop(o.0.remove(&key("a", 4, 5))),
            vec![(key("a", 6, 7), Finding::Missing { records: 4..6 })],
        ),
        (
            "a line is edited",
            |o| o.0.get_mut(&key("b", 2, 3)).unwrap().0[0][3] = b'x',
            vec![(key("b", 2, 3), Finding::Edited { line: 2 })],
        ),
        (
            "the last line of an object is edited",
            |o| o.0.get_mut(&key("b", 2, 3)).unwrap().0[1][3] = b'x',
            vec![(key("b", 2, 3), Finding::BadSignature), (key("b", 4, 5), Finding::Edited { line: 1 })],
        ),
        (
            "a line is gone",
            |o| drop(o.0.get_mut(&key("a", 2, 3)).unwrap().0.remove(0)),
            vec![
                (key("a", 2, 3), Finding::Edited { line: 1 }),
                (key("a", 2, 3), Finding::Lines { expected: 2, found: 1 }),
            ],
        ),
        (
            "signatures are gone or others",
            |o| {
                o.0.get_mut(&key("a", 0, 1)).unwrap().1 = None;
                o.0.get_mut(&key("a", 2, 3)).unwrap().1 = Some("00".to_owned());
            },
            vec![(key("a", 0, 1), Finding::Unsigned), (key("a", 2, 3), Finding::BadSignature)],
        ),
        (
            "there is more than there should be",
            |o| {
                let copy = o.0[&key("a", 0, 1)].clone();
                o.0.insert(key("a", 0, 1).replace(".jsonl", ".conflict-ab.jsonl"), copy);
                o.0.insert("p/z.txt".to_owned(), (vec![], None));
            },
            vec![
                (key("a", 0, 1).replace(".jsonl", ".conflict-ab.jsonl"), Finding::Conflict),
                (key("a", 0, 1), Finding::Duplicate { records: 0..2 }),
                ("p/z.txt".to_owned(), Finding::Foreign),
            ],
        ),
    ];
    for (name, harm, wanted) in cases {
        let mut archive = archive();
        harm(&mut archive);
        assert_eq!(findings(&archive).await, wanted, "{name}");
    }
}

#[tokio::test]
async fn what_can_not_be_read_does_not_stop_it() {
    struct Broken(Objects);
    #[async_trait]
    impl Archive for Broken {
        async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, ArchiveError> {
            self.0.list(prefix, after).await
        }
        async fn get(&self, key: &str) -> Result<Found, ArchiveError> {
            let found = self.0.get(key).await?;
            let broken = key.contains("a-00000000000000000002");
            Ok(if broken { Found { bytes: found.bytes.slice(..20), ..found } } else { found })
        }
    }
    let broken = Broken(archive());
    let mut verifier = Verifier::new(&broken, "p/", None);
    let mut all = Vec::new();
    while let Some(Checked { findings, .. }) = verifier.next().await.unwrap() {
        all.extend(findings);
    }
    assert!(matches!(&all[..], [Finding::Unreadable(_)]), "{all:?}");
    assert_eq!(verifier.summary().nodes["a"], 0..10);
}

#[tokio::test]
async fn directories_as_clients_of_s3_make_them_are_no_objects() {
    let mut archive = archive();
    // More than are listed at once, and also the last of all.
    for key in ["p/", "p/0/", "p/1/", "p/2/", "p/z/"] {
        archive.0.insert(key.to_owned(), (vec![], None));
    }
    assert_eq!(findings(&archive).await, vec![]);
}
