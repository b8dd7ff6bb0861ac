//! Jobs in PostgreSQL behave as in every storage.
#![cfg(test)]
#![cfg(feature = "postgres")]

mod support {
    pub(crate) mod postgres;
}

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lockstep_queue::jobs::conformance::Subject;
use lockstep_queue::jobs::{PostgresOptions, PostgresStorage, Storage};
use support::postgres::Postgres;

/// One schema for each case.
static SCHEMA: AtomicU32 = AtomicU32::new(0);

async fn fresh() -> Subject {
    let schema = format!("case_{}", SCHEMA.fetch_add(1, Ordering::Relaxed));
    let (first, second) = (open(&schema).await, open(&schema).await);
    Subject::new(first).with_second(second).with_reopen(move || async move { open(&schema).await })
}

async fn open(schema: &str) -> Arc<dyn Storage> {
    let options = PostgresOptions { schema: schema.to_owned(), connections: 4, ..PostgresOptions::default() };
    Arc::new(PostgresStorage::connect(&Postgres::shared().address(), options).await.unwrap())
}

lockstep_queue::conformance!(fresh);
