//! The endpoints of one version: a pool that pingora-load-balancing keeps and selects from, with
//! passive ejection and active health checks on top. A pool never offers an endpoint of another
//! version, and its connections are never shared with another (promise P1).

pub mod ejection;
pub mod endpoint;
pub mod health;
pub mod least_loaded;
pub mod peer;
pub mod pool;

pub use endpoint::Endpoint;
pub use pool::{Choice, Pool, PoolSettings};
