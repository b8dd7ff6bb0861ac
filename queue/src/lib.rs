//! Durable work on one machine: so far the [`journal`], an append-only log that other parts
//! (batch shipper, job queue) build on.
#![forbid(unsafe_code)]

pub mod journal;
