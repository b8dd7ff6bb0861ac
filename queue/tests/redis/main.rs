//! Jobs on real Redis and Valkey servers.
#![cfg(test)]
#![cfg(feature = "redis")]

mod conformance;
mod failover;
mod kit;
mod load;
mod proxy;
mod refusals;
mod repeats;
mod restarts;
#[path = "../support/redis.rs"]
mod server;
mod thrift;
mod tls;
