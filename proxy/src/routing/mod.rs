//! From a request to a version: the routing table that a request loads once, the pins it carries
//! and the pure decision between them.

pub mod compile;
mod cookies;
pub mod decision;
pub mod host;
pub mod page;
pub mod pins;
pub(crate) mod resolve;
pub mod table;

#[cfg(test)]
pub(crate) mod fixture;

pub use decision::{Decision, Pinning, Rejection, Visit, decide};
pub use table::{AppRoute, RoutingTable, VersionRoute};
