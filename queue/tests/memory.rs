//! Jobs in memory behave as in every storage.

use std::sync::Arc;

use lockstep_queue::jobs::MemoryStorage;
use lockstep_queue::jobs::conformance::Subject;

async fn fresh() -> Subject {
    let storage = MemoryStorage::new();
    // A clone is as good as another process, but for what survives.
    Subject::new(Arc::new(storage.clone())).with_second(Arc::new(storage))
}

lockstep_queue::conformance!(fresh);
