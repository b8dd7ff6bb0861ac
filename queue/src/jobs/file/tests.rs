use super::*;
use crate::jobs::{End, EndOutcome, JobOptions};

fn queue() -> QueueName {
    QueueName::new("q").unwrap()
}

fn job(id: &str) -> NewJob {
    NewJob {
        id: JobId::new(id).unwrap(),
        payload: Bytes::from(format!("payload of {id}")),
        options: JobOptions::default(),
    }
}

fn claim(max: usize) -> Option<Claim> {
    Some(Claim { worker: WorkerId::new("w").unwrap(), max, lease: Duration::from_secs(30) })
}

fn complete(claimed: &crate::jobs::Claimed) -> Finish {
    let end = End::Complete { output: Bytes::from_static(b"out"), retention: Duration::from_secs(3600) };
    Finish { id: claimed.id.clone(), token: claimed.token, end }
}

fn open(dir: &Path) -> FileStorage {
    FileStorage::open(&Options::new(dir)).unwrap()
}

#[tokio::test]
async fn jobs_survive_a_restart_as_they_stood() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    storage.enqueue(&queue(), ["a", "b", "c"].map(job).into()).await.unwrap();
    let settings = Settings { max_jobs: Some(9), ..Settings::default() };
    storage.configure(&queue(), settings).await.unwrap();
    let first = storage.finish(&queue(), Vec::new(), claim(2)).await.unwrap();
    storage.finish(&queue(), vec![complete(&first.claimed[0])], None).await.unwrap();
    storage.close().await.unwrap();
    assert!(matches!(storage.counts(&queue()).await, Err(StorageError::Closed)));

    let storage = open(dir.path());
    let counts = storage.counts(&queue()).await.unwrap();
    assert_eq!((counts.waiting, counts.active, counts.completed), (1, 1, 1));
    assert_eq!(storage.settings(&queue()).await.unwrap(), settings);
    let done = storage.get(&queue(), &first.claimed[0].id).await.unwrap().unwrap();
    assert_eq!((done.output, done.payload), (Some(Bytes::from_static(b"out")), Bytes::from("payload of a")));
    // The lease of before is still good, and proves as much.
    let finished = storage.finish(&queue(), vec![complete(&first.claimed[1])], claim(5)).await.unwrap();
    assert_eq!((finished.outcomes, finished.claimed.len()), (vec![EndOutcome::Done], 1));
    assert!(finished.claimed[0].token > first.claimed[1].token);
}

#[tokio::test]
async fn a_second_process_is_told_that_the_directory_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let _storage = open(dir.path());
    assert!(matches!(FileStorage::open(&Options::new(dir.path())), Err(StorageError::Locked(_))));
}

#[tokio::test]
async fn a_long_log_becomes_a_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    storage.enqueue(&queue(), vec![job("kept")]).await.unwrap();
    let kept = storage.finish(&queue(), Vec::new(), claim(1)).await.unwrap().claimed;
    let payload = Bytes::from(vec![7; 1 << 20]);
    for round in 0..40 {
        let large = NewJob { payload: payload.clone(), ..job(&format!("large-{round}")) };
        storage.enqueue(&queue(), vec![large]).await.unwrap();
        let claimed = storage.finish(&queue(), Vec::new(), claim(1)).await.unwrap().claimed;
        let end = Finish { end: End::Cancelled, ..complete(&claimed[0]) };
        storage.finish(&queue(), vec![end], None).await.unwrap();
    }
    storage.close().await.unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap().flatten();
    let bytes: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes < 80 << 20, "{bytes} bytes are kept for one small job");
    let storage = open(dir.path());
    let job = storage.get(&queue(), &kept[0].id).await.unwrap().unwrap();
    assert_eq!((job.state, job.deliveries), (JobState::Active, 1));
    let finished = storage.finish(&queue(), vec![complete(&kept[0])], None).await.unwrap();
    assert_eq!(finished.outcomes, [EndOutcome::Done]);
}

/// Changes a byte of what was written.
fn damage(dir: &Path, text: &[u8]) {
    for file in std::fs::read_dir(dir).unwrap().flatten() {
        let mut bytes = std::fs::read(file.path()).unwrap();
        if let Some(place) = bytes.windows(text.len()).position(|window| window == text) {
            bytes[place] ^= 1;
            return std::fs::write(file.path(), bytes).unwrap();
        }
    }
    panic!("it is nowhere");
}

#[tokio::test]
async fn a_damaged_log_is_refused_unless_it_is_to_be_salvaged() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for id in ["a", "b", "c"] {
        storage.enqueue(&queue(), vec![job(id)]).await.unwrap();
    }
    storage.close().await.unwrap();
    damage(dir.path(), b"payload of b");
    let refused = FileStorage::open(&Options::new(dir.path())).unwrap_err();
    assert!(matches!(&refused, StorageError::Corrupt { what } if what.contains("salvage")), "{refused}");
    let storage = FileStorage::open(&Options::new(dir.path()).salvage(true)).unwrap();
    assert_eq!(storage.counts(&queue()).await.unwrap().waiting, 1);
    storage.enqueue(&queue(), vec![job("d")]).await.unwrap();
    storage.close().await.unwrap();
    assert_eq!(open(dir.path()).counts(&queue()).await.unwrap().waiting, 2, "it is whole again");
}

/// Small files under a small limit.
fn open_small(dir: &Path) -> FileStorage {
    FileStorage::open(&Options::new(dir).max_bytes(256 * 1024)).unwrap()
}

#[tokio::test]
async fn jobs_that_come_and_go_never_fill_a_small_log() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_small(dir.path());
    for round in 0..3000 {
        storage.enqueue(&queue(), vec![job(&round.to_string())]).await.unwrap();
        let claimed = storage.finish(&queue(), Vec::new(), claim(1)).await.unwrap().claimed;
        let end = End::Complete { output: Bytes::new(), retention: Duration::ZERO };
        let end = Finish { end, ..complete(&claimed[0]) };
        storage.finish(&queue(), vec![end], None).await.unwrap();
        storage.reap(&queue(), 100, Bytes::new()).await.unwrap();
    }
    let files = std::fs::read_dir(dir.path()).unwrap().flatten();
    let bytes: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes <= 256 * 1024, "{bytes} bytes");
}

#[tokio::test]
async fn large_outputs_find_room_and_leave_it_when_they_expire() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FileStorage::open(&Options::new(dir.path()).max_bytes(2 << 20)).unwrap();
    let large = Bytes::from(vec![7; 1000]);
    for round in 0..3 {
        let mut enqueued = 0;
        loop {
            let job = NewJob { payload: large.clone(), ..job(&format!("{round}-{enqueued}")) };
            match storage.enqueue(&queue(), vec![job]).await {
                Ok(_) => enqueued += 1,
                Err(error) => break assert!(matches!(error, StorageError::Full(_)), "{error}"),
            }
        }
        assert!(enqueued > 300, "{round}: {enqueued}");
        for _ in 0..enqueued {
            let claimed = storage.finish(&queue(), Vec::new(), claim(1)).await.unwrap().claimed;
            let end = End::Complete { output: large.clone(), retention: Duration::from_millis(1) };
            storage.finish(&queue(), vec![Finish { end, ..complete(&claimed[0]) }], None).await.unwrap();
        }
        let mut forgotten = 0;
        while forgotten < enqueued {
            forgotten += storage.reap(&queue(), 100, Bytes::new()).await.unwrap().forgotten;
        }
        // The log is made shorter with a step.
        storage.configure(&queue(), Settings::default()).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_full_is_drained_and_takes_jobs_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut storage = open_small(dir.path());
    let mut enqueued = 0;
    let refused = loop {
        match storage.enqueue(&queue(), vec![job(&format!("job-{enqueued}"))]).await {
            Ok(_) => enqueued += 1,
            Err(error) => break error,
        }
        assert!(enqueued < 10_000, "it is never full");
    };
    assert!(matches!(refused, StorageError::Full(_)), "{refused}");
    assert!(enqueued > 200, "{enqueued}");
    for restart in [false, true] {
        if restart {
            storage.close().await.unwrap();
            storage = open_small(dir.path());
        }
        for _ in 0..enqueued / 2 {
            let claimed = storage.finish(&queue(), Vec::new(), claim(1)).await.unwrap().claimed;
            storage.finish(&queue(), vec![complete(&claimed[0])], None).await.unwrap();
        }
    }
    let counts = storage.counts(&queue()).await.unwrap();
    assert_eq!((counts.waiting, counts.completed), (enqueued % 2, enqueued - enqueued % 2));
    // What is done still takes room, until it expires or is removed.
    for done in storage.list(&queue(), JobState::Completed, None, 10_000).await.unwrap() {
        storage.remove(&queue(), &done.id).await.unwrap();
    }
    storage.enqueue(&queue(), vec![job("again")]).await.unwrap();
}

/// More at once, in steps and in a snapshot, than the journal takes.
#[tokio::test]
async fn large_jobs_at_once_are_taken_and_made_shorter() {
    const MIB: u64 = 1 << 20;
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let payload = Bytes::from(vec![7; crate::jobs::MAX_PAYLOAD]);
    let (queue, ids) = (queue(), ["a", "b", "c", "d", "e", "f", "g", "h"]);
    let large = |id| vec![NewJob { payload: payload.clone(), ..job(id) }];
    futures::future::try_join_all(ids.map(|id| storage.enqueue(&queue, large(id)))).await.unwrap();
    storage.close().await.unwrap();
    // A start makes it shorter, if nothing did before.
    let storage = open(dir.path());
    assert_eq!(storage.counts(&queue).await.unwrap().waiting, 8);
    storage.close().await.unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap().flatten();
    let bytes: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
    assert!(bytes < 8 * 16 * MIB + 48 * MIB, "{bytes} bytes");
}

/// What can't be kept beside what becomes of it is not taken.
#[tokio::test]
async fn one_large_job_does_not_lock_a_small_log() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open_small(dir.path());
    let large = |id, len| vec![NewJob { payload: Bytes::from(vec![7; len]), ..job(id) }];
    let error = storage.enqueue(&queue(), large("a", 100 * 1024)).await.unwrap_err();
    assert!(matches!(error, StorageError::Full(_)), "{error}");
    storage.enqueue(&queue(), large("b", 50 * 1024)).await.unwrap();
    let claimed = storage.finish(&queue(), Vec::new(), claim(1)).await.unwrap().claimed;
    storage.finish(&queue(), vec![complete(&claimed[0])], None).await.unwrap();
}

/// A damaged log takes nothing before a snapshot is written. One that does not fit with ended jobs does without those
/// that have expired.
#[tokio::test]
async fn a_full_log_that_is_damaged_goes_on_without_what_expired() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::new(dir.path()).max_bytes(2 << 20);
    let storage = FileStorage::open(&options).unwrap();
    let jobs = (0..300).map(|number| NewJob { payload: vec![7; 1000].into(), ..job(&number.to_string()) });
    storage.enqueue(&queue(), jobs.collect()).await.unwrap();
    let claimed = storage.finish(&queue(), Vec::new(), claim(300)).await.unwrap().claimed;
    for (number, job) in claimed.iter().enumerate() {
        let mut output = vec![7; 3000];
        output.extend(format!("output {number:03}").into_bytes());
        let end = End::Complete { output: output.into(), retention: Duration::ZERO };
        storage.finish(&queue(), vec![Finish { end, ..complete(job) }], None).await.unwrap();
    }
    storage.close().await.unwrap();
    damage(dir.path(), b"output 298");
    let storage = FileStorage::open(&options.salvage(true)).unwrap();
    storage.enqueue(&queue(), vec![job("again")]).await.unwrap();
    let counts = storage.counts(&queue()).await.unwrap();
    assert_eq!((counts.waiting, counts.active, counts.completed), (1, 2, 0));
}
