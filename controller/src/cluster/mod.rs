//! Versions from Kubernetes. `watch` hands in what changes in the cluster, `world` holds it,
//! [`discovery`] makes apps and versions of it ([`found`]), [`grants`] says which app gets which
//! hosts by its [`claim`] and the configuration, `standing` how versions stand by their
//! [`resource`], in which states are kept. [`follow`] does all that whenever something changes and
//! publishes the outcome; [`kept`] keeps it for a start without the API. [`lead`] decides what follows
//! and writes it into the resources.

mod backoff;
pub mod claim;
mod contact;
pub mod discovery;
pub mod follow;
pub mod found;
pub mod grants;
pub mod kept;
pub mod lead;
pub mod resource;
mod standing;
pub mod state;
mod view;
mod watch;
mod world;

pub use contact::{ConnectError, Contact};
pub use discovery::Options;
pub use follow::{Cluster, Scopes};
pub use state::{ClusterState, Health};
pub use watch::Kind;
