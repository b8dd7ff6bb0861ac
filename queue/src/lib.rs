//! Durable work: the [`journal`], an append-only log, and [`jobs`], queues over interchangeable storages.
#![forbid(unsafe_code)]

pub mod jobs;
pub mod journal;
