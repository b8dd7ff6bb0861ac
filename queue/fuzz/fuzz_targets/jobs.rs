//! A file storage's log of any content: frames that are whole for the journal, whose bodies are anything. It opens
//! or says why not; what opened takes a job, and is there the next time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_queue::jobs::{
    FileOptions, FileStorage, JobId, JobOptions, NewJob, QueueName, Storage, StorageError,
};
use lockstep_queue::journal::{self, Journal, Kind};

/// Small, for what takes time is to make files.
const SEGMENT: u32 = 64 * 1024;

/// Appends each piece of the input as a step or a part of a snapshot. The first byte of a piece says which, the
/// second how long it is.
fn write(dir: &std::path::Path, mut input: &[u8]) {
    let (journal, _) = Journal::open(journal::Options::new(dir).segment_bytes(SEGMENT)).expect("an empty directory");
    while let [what, len, rest @ ..] = input {
        let (body, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        input = rest;
        let kind = match what % 8 {
            0 => Kind::single::<2>(),
            1 => Kind::single::<3>(),
            _ => Kind::single::<1>(),
        };
        drop(journal.append_unsynced(kind, 0, body.to_vec()));
    }
    journal.close().expect("nothing is wrong with the disk");
}

async fn use_it(storage: &FileStorage) -> Result<(), StorageError> {
    for queue in storage.queues().await? {
        storage.counts(&queue).await?;
    }
    let queue = QueueName::new("fuzz").expect("a name");
    let id = JobId::new("last").expect("an id");
    let job = NewJob { id: id.clone(), payload: "payload".into(), options: JobOptions::default() };
    match storage.enqueue(&queue, vec![job]).await {
        // As an invented setting may want it.
        Err(StorageError::QueueFull { .. }) => return Ok(()),
        enqueued => drop(enqueued?),
    }
    assert!(storage.get(&queue, &id).await?.is_some());
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let shared = std::path::Path::new("/dev/shm");
    let dir = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
    let dir = dir.expect("a folder");
    write(dir.path(), input);
    let options = FileOptions::new(dir.path()).segment_bytes(SEGMENT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let Ok(storage) = FileStorage::open(&options) else { return };
    runtime.block_on(async {
        use_it(&storage).await.expect("it is open");
        storage.close().await.expect("nothing is wrong with the disk");
        let again = FileStorage::open(&options).expect("it was open before");
        again.close().await.expect("nothing is wrong with the disk");
    });
});
