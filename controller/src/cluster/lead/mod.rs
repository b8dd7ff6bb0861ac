//! The lead path: from what was found in the cluster to states and actions. Every replica tells how
//! it is ([`heartbeat`]); one of them ([`election`]) watches what all say ([`fleet`]), decides what
//! follows ([`decide`](mod@decide)), writes it into the `VersionedApp`s and acts on workloads.

mod acts;
mod conditions;
mod decide;
pub mod election;
mod events;
pub mod fleet;
pub mod heartbeat;
pub mod identity;
mod leader;
mod leases;
mod memo;
mod perform;
mod plan;
pub mod report;
mod status;
mod step;
mod webhook;
mod world;
