//! The lead path: from what was found in the cluster to states and actions. Every replica tells how
//! it is ([`heartbeat`]); one of them ([`election`]) watches what all say ([`fleet`]), decides what
//! follows ([`decide`](mod@decide)), writes it into the `VersionedApp`s and acts on workloads.

mod acts;
mod conditions;
mod decide;
pub mod election;
pub mod fleet;
pub mod heartbeat;
pub mod identity;
mod plan;
pub mod report;
mod world;
