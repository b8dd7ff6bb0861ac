//! Which versions of an application exist, which of them is active, and when the old ones go.
//!
//! A source says what there is (here: the versions written in the configuration file), the pure
//! state machine in [`machine`] decides what follows from it, [`store`] keeps the outcome, and
//! [`controller`] runs the loop and publishes an [`Arc<VersionSnapshot>`](VersionSnapshot) over a
//! watch channel. The data plane answers the questions of [`DataPlane`]; nothing here knows how
//! it routes.
#![forbid(unsafe_code)]

#[cfg(feature = "kube")]
pub mod cluster;
pub mod controller;
pub mod data_plane;
pub mod id;
pub mod machine;
pub mod policy;
pub mod record;
pub mod share;
pub mod snapshot;
pub mod spec;
pub mod state;
mod state_file;
pub mod store;
pub mod view;

pub use controller::{Controller, Handle};
pub use data_plane::{DataPlane, Traffic};
pub use id::{AppId, InvalidId, VersionId};
pub use machine::command::{Command, CommandError};
pub use policy::{Canary, Cleanup, Mode, Policy, ReadyRule, Webhook};
pub use share::{InvalidShare, Share};
pub use snapshot::{AppSnapshot, VersionSnapshot, VersionStatus};
pub use spec::{AppSpec, VersionSpec};
pub use state::VersionState;
