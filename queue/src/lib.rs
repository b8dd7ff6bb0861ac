//! Durable work on one machine: the [`journal`], an append-only log that other parts build on, and the
//! batch shipper ([`ship`]), which takes what is in it to a directory or to S3.
#![forbid(unsafe_code)]

pub mod journal;
pub mod ship;
