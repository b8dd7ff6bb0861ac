//! What a second process makes of what the first one left.

use super::*;
use crate::journal::Position;
use crate::ship::ShipError;
use crate::ship::verify::Finding;

/// Lines of another release.
struct Changed;

impl Assemble for Changed {
    fn group(&self, stamp: Stamp, group: &Group) -> Vec<u8> {
        String::from_utf8(Plain.group(stamp, group)).unwrap().replace("text", "words").into_bytes()
    }
    fn single(&self, stamp: Stamp, frame: &Frame) -> Vec<u8> {
        self.group(stamp, &Group { frames: vec![frame.clone()], lost: 0 })
    }
    fn gap(&self, stamp: Stamp, gap: &Gap) -> Vec<u8> {
        Plain.gap(stamp, gap)
    }
}

/// Ships three batches of two in a first process, of which the sink takes all but those it holds; `confirmed` records
/// are before the first of those.
async fn first_process(dir: &Path, sink: &Arc<MemSink>, held: &str, confirmed: usize) {
    first_process_with(6, dir, sink, held, confirmed).await;
}

async fn first_process_with(records: usize, dir: &Path, sink: &Arc<MemSink>, held: &str, confirmed: usize) {
    let (journal, recovery) = open(dir);
    let shipper = shipper(&journal, &recovery, sink, &options().records(2));
    sink.hold(Some(held));
    while_running(&shipper, async {
        append(&journal, BEGIN, 9, "nine").await;
        let mut ends = vec![Position::START];
        for number in 0..records {
            ends.push(append(&journal, SINGLE, 0, format!("r{number}")).await.end);
        }
        sink.has_been_called(3).await;
        // The sink has them before the journal knows.
        while journal.acknowledged() < ends[confirmed] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    sink.hold(None);
    journal.shutdown().await.unwrap();
}

#[tokio::test]
async fn sealed_batches_are_made_again_under_the_same_keys() {
    for (held, shipped_again) in [("000-", 7), ("002-", 5), ("004-", 3), ("node", 7)] {
        let dir = tempfile::tempdir().unwrap();
        let sink = Arc::new(MemSink::default());
        first_process(dir.path(), &sink, held, 7 - shipped_again).await;
        let before = sink.keys();
        let (journal, recovery) = open(dir.path());
        // Other options do not change what is sealed.
        let other = Options::new("node").unwrap().records(100).prefix("z/").unwrap();
        let shipper = shipper(&journal, &recovery, &sink, &other);
        while_running(&shipper, async {
            append(&journal, END, 9, "end").await;
            shipper.flushed().await.unwrap();
        })
        .await;
        let after = sink.keys();
        assert!(before.iter().all(|key| after.contains(key)));
        assert_eq!(after.len(), 4, "{held}: {after:?}");
        assert_eq!(sink.findings().await, [], "{held}: one chain through both prefixes");
        assert_eq!((shipper.stats().changed, shipper.stats().conflicts), (0, 0));
        assert_eq!(shipper.stats().records, shipped_again as u64, "{held}");
    }
}

#[tokio::test]
async fn another_assembler_does_not_break_the_chain() {
    // The second batch is in the sink, the first is not and comes out otherwise.
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(MemSink::default());
    first_process(dir.path(), &sink, "-00000000000000000000-", 0).await;
    assert_eq!(sink.keys().len(), 2);
    let (journal, recovery) = open(dir.path());
    let shipper = shipper_with(Arc::new(Changed), &journal, &recovery, &sink, &options());
    while_running(&shipper, async { shipper.flushed().await.unwrap() }).await;
    assert_eq!(shipper.stats().changed, 3);
    assert_eq!(shipper.stats().conflicts, 0, "those that are there are the sealed ones");
    let lines: Vec<String> = sink.texts();
    assert_eq!(lines, ["", "", "r2", "r3", "r4", "r5"]);
    let findings = sink.findings().await;
    assert_eq!(findings.len(), 1, "where the releases meet: {findings:?}");
}

#[tokio::test]
async fn groups_that_span_the_restart_keep_their_frames() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(MemSink::default());
    let (journal, recovery) = open(dir.path());
    let first = shipper(&journal, &recovery, &sink, &options());
    while_running(&first, async {
        append(&journal, BEGIN, 1, "one").await;
        append(&journal, BEGIN, 2, "two").await;
        append(&journal, SINGLE, 0, "between").await;
        first.flushed().await.unwrap();
    })
    .await;
    append(&journal, PART, 2, "more").await;
    append(&journal, END, 2, "end").await;
    journal.shutdown().await.unwrap();
    let (journal, recovery) = open(dir.path());
    assert_eq!((recovery.open_groups.len(), recovery.spanning_groups.len()), (1, 1));
    let second = shipper(&journal, &recovery, &sink, &options());
    while_running(&second, async {
        append(&journal, END, 1, "late").await;
        second.flushed().await.unwrap();
    })
    .await;
    assert_eq!(sink.texts(), ["between", "two+more+end", "one+late"]);
    assert_eq!(sink.findings().await, []);
}

#[tokio::test]
async fn damage_to_a_sealed_batch_becomes_a_gap_and_the_rest_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(MemSink::default());
    first_process(dir.path(), &sink, "node", 0).await;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(2).position(|window| window == b"r3");
        if let Some(at) = found {
            bytes[at] = b'x';
            std::fs::write(path, bytes).unwrap();
        }
    }
    let (journal, recovery) = open(dir.path());
    assert_eq!(recovery.gaps.len(), 1);
    let shipper = shipper(&journal, &recovery, &sink, &options());
    while_running(&shipper, async {
        append(&journal, END, 9, "end").await;
        shipper.flushed().await.unwrap();
    })
    .await;
    assert_eq!(sink.texts(), ["r0", "r1", "r2", "gap", "r4", "r5", "nine+end"]);
    assert_eq!(sink.findings().await, [], "the numbers go on, and so does the chain");
    assert_eq!(shipper.stats().changed, 2, "the damaged one and the one that follows its last line");
}

/// Overwrites the journal from behind one text to the end of another, in the only segment that has them.
fn damage(dir: &Path, behind: &[u8], to: &[u8]) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let end =
            |text: &[u8]| Some(bytes.windows(text.len()).position(|window| window == text)? + text.len());
        if let (Some(from), Some(to)) = (end(behind), end(to)) {
            bytes[from..to].fill(b'x');
            std::fs::write(path, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn damage_beyond_the_end_of_a_sealed_batch_is_told_in_the_next() {
    // The second and the third batch are in the sink; the fourth is not complete.
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(MemSink::default());
    first_process_with(7, dir.path(), &sink, "-00000000000000000000-", 0).await;
    let (journal, _) = open(dir.path());
    append(&journal, SINGLE, 0, "r7").await;
    journal.shutdown().await.unwrap();
    damage(dir.path(), b"r4", b"r6");
    let (journal, recovery) = open(dir.path());
    assert_eq!(recovery.gaps.len(), 1, "{recovery:?}");
    let second = shipper(&journal, &recovery, &sink, &options());
    while_running(&second, async { second.flushed().await.unwrap() }).await;
    assert_eq!(sink.texts(), ["r0", "r1", "r2", "r3", "r4", "r5", "gap", "r7"]);
    assert_eq!(sink.findings().await, []);
}

#[tokio::test]
async fn damage_to_a_whole_sealed_batch_and_its_neighbours_costs_no_other_record() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(MemSink::default());
    first_process(dir.path(), &sink, "node", 0).await;
    damage(dir.path(), b"r0", b"r4");
    let (journal, recovery) = open(dir.path());
    assert_eq!(recovery.gaps.len(), 1, "{recovery:?}");
    let second = shipper(&journal, &recovery, &sink, &options());
    while_running(&second, async { second.flushed().await.unwrap() }).await;
    assert_eq!(sink.texts(), ["r0", "gap", "gap", "gap", "r5"]);
    let findings = sink.findings().await;
    assert!(matches!(findings[..], [Finding::Lines { expected: 2, found: 1, .. }]), "{findings:?}");
}

#[tokio::test]
async fn a_record_that_panics_ends_the_shipper_and_loses_nothing() {
    struct Panics;
    impl Assemble for Panics {
        fn group(&self, _: Stamp, _: &Group) -> Vec<u8> {
            panic!("as asked")
        }
        fn single(&self, _: Stamp, _: &Frame) -> Vec<u8> {
            panic!("as asked")
        }
        fn gap(&self, _: Stamp, _: &Gap) -> Vec<u8> {
            panic!("as asked")
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(MemSink::default());
    let (journal, recovery) = open(dir.path());
    append(&journal, SINGLE, 0, "r0").await;
    let first = shipper_with(Arc::new(Panics), &journal, &recovery, &sink, &options().records(1));
    let ended = first.run(std::future::pending()).await;
    assert!(matches!(ended, Err(ShipError::Assemble(_))), "{ended:?}");
    journal.shutdown().await.unwrap();
    let (journal, recovery) = open(dir.path());
    let second = shipper(&journal, &recovery, &sink, &options());
    while_running(&second, async { second.flushed().await.unwrap() }).await;
    assert_eq!(sink.texts(), ["r0"]);
}
