//! Durable work: the [`journal`], an append-only log, the batch shipper ([`ship`]), which takes what is in it to a
//! directory or to S3, and [`jobs`], queues over interchangeable storages.
#![forbid(unsafe_code)]

pub mod jobs;
pub mod journal;
pub mod ship;
