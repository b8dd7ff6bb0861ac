//! Side-by-side runs of Lockstep against other proxies that do the same pinning, of its AI
//! gateway ([`ai`]), of its job queue against others ([`queue`]), and of its journal against a bare
//! loop ([`journal`]); and a replica in a large Kubernetes cluster ([`cluster`]).
//!
//! Every contender runs as a process of its own on loopback, with an origin of its own behind it.
//! One closed-loop load generator visits them in turn, round after round, and checks that each
//! answer came from the version that was asked for. What counts most is CPU time per request: the
//! load generator, the origin and the contender share the machine's cores.
#![forbid(unsafe_code)]

pub mod ai;
pub mod bare;
pub mod cli;
pub mod cluster;
pub mod compare;
pub mod contender;
pub mod contract;
pub mod cpu;
pub mod error;
pub mod goals;
pub mod journal;
pub mod layout;
pub mod load;
pub mod origin;
pub mod process;
pub mod queue;
pub mod report;
pub mod rounds;
pub mod run;

pub use error::{Failure, Result};
