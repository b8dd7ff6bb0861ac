//! Jobs on real Redis and Valkey servers behave as in every storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::server::Flavour;
use lockstep_queue::jobs::conformance::Subject;
use lockstep_queue::jobs::{RedisOptions, RedisStorage};

async fn subject(flavour: Flavour) -> Subject {
    static CASES: AtomicUsize = AtomicUsize::new(0);
    let prefix = format!("case {{{}}}", CASES.fetch_add(1, Ordering::Relaxed));
    let options = RedisOptions { prefix, ..RedisOptions::new(flavour.shared().url()) };
    let open = |options| async { Arc::new(RedisStorage::connect(options).await.unwrap()) };
    Subject::new(open(options.clone()).await)
        .with_second(open(options.clone()).await)
        .with_reopen(move || async move { open(options).await as Arc<_> })
}

mod on_redis {
    async fn fresh() -> super::Subject {
        super::subject(super::Flavour::Redis).await
    }

    lockstep_queue::conformance!(fresh);
}

mod on_valkey {
    async fn fresh() -> super::Subject {
        super::subject(super::Flavour::Valkey).await
    }

    lockstep_queue::conformance!(fresh);
}
