//! Jobs in files behave as in every storage, and are there after a restart.

#![expect(clippy::expect_used, reason = "a test")]

use std::sync::Arc;

use lockstep_queue::jobs::conformance::Subject;
use lockstep_queue::jobs::{FileOptions, FileStorage, Storage};

async fn fresh() -> Subject {
    let dir = tempfile::tempdir().expect("a directory");
    let options = FileOptions::new(dir.path());
    let storage = FileStorage::open(&options).expect("it opens");
    let reopen = move || async move {
        Arc::new(FileStorage::open(&options).expect("it opens again")) as Arc<dyn Storage>
    };
    // One process has it at a time: a clone stands for another user in it.
    Subject::new(Arc::new(storage.clone())).with_second(Arc::new(storage)).with_reopen(reopen).keeping(dir)
}

lockstep_queue::conformance!(fresh);
