//! What a second process makes of what the first one left.

use super::*;

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

/// Ships batches of two in a first process, of which the sink takes all but those it holds.
async fn first_process(dir: &Path, sink: &Arc<MemSink>, held: &str, puts: usize) {
    let (journal, recovery) = open(dir);
    let shipper = shipper(&journal, &recovery, sink, &options().records(2));
    sink.hold(Some(held));
    while_running(&shipper, async {
        append(&journal, BEGIN, 9, "nine").await;
        for number in 0..6 {
            append(&journal, SINGLE, 0, format!("r{number}")).await;
        }
        sink.has_been_called(puts).await;
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
        first_process(dir.path(), &sink, held, 3).await;
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
        assert_eq!(shipper.stats().records, shipped_again, "{held}");
    }
}

#[tokio::test]
async fn another_assembler_does_not_break_the_chain() {
    // The second batch is in the sink, the first is not and comes out otherwise.
    let dir = tempfile::tempdir().unwrap();
    let sink = Arc::new(MemSink::default());
    first_process(dir.path(), &sink, "-00000000000000000000-", 3).await;
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
