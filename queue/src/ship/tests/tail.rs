//! What those see who follow records beside the shipper.

use super::*;
use crate::ship::Tail;

/// More than a segment holds.
async fn fill(journal: &Journal) {
    for _ in 0..4 {
        append(journal, SINGLE, 0, "x".repeat(3000)).await;
    }
}

/// Everything is shipped, and so removed up to the segment that is written.
async fn shipped(journal: &Journal) {
    journal.acknowledge(journal.durable()).await.unwrap();
}

async fn next(tail: &mut Tail) -> String {
    let line = tail.next().await.unwrap().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    line["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_was_removed_before_the_tail_came_to_it_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let mut tail = Tail::new(journal.clone(), Arc::new(Plain));
    append(&journal, SINGLE, 0, "first").await;
    assert_eq!(next(&mut tail).await, "first");
    fill(&journal).await;
    shipped(&journal).await;
    append(&journal, SINGLE, 0, "last").await;
    assert_eq!(next(&mut tail).await, "gap");
    while next(&mut tail).await != "last" {}
    journal.shutdown().await.unwrap();
    assert_eq!(tail.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_record_that_is_not_there_as_a_whole_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    let mut tail = Tail::new(journal.clone(), Arc::new(Plain));
    append(&journal, BEGIN, 7, "begin").await;
    append(&journal, SINGLE, 0, "first").await;
    assert_eq!(next(&mut tail).await, "first");
    fill(&journal).await;
    append(&journal, END, 7, "end").await;
    shipped(&journal).await;
    append(&journal, BEGIN, 8, "six times ").await;
    append(&journal, END, 8, "seven").await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|text| text != "six times +seven") {
        seen.push(next(&mut tail).await);
    }
    let gaps = seen.iter().filter(|text| *text == "gap").count();
    assert_eq!(gaps, 2, "what was removed, and the record whose beginning was in it: {seen:?}");
    assert!(!seen.iter().any(|text| text == "end"), "{seen:?}");
}

#[tokio::test]
async fn what_was_removed_before_the_tail_began_is_none_of_its_business() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path());
    append(&journal, BEGIN, 7, "begin").await;
    fill(&journal).await;
    shipped(&journal).await;
    let mut tail = Tail::new(journal.clone(), Arc::new(Plain));
    append(&journal, END, 7, "end").await;
    assert_eq!(next(&mut tail).await, "begin+end", "what it needs was kept");
}
