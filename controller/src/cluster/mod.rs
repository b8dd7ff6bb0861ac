//! Versions from Kubernetes. [`found`] is what discovery makes of the objects of the cluster,
//! [`resource`] is the `VersionedApp` in which states are kept, and [`claim`] is what an app asks
//! for, which the data plane's configuration turns into settings.

pub mod claim;
pub mod found;
pub mod lead;
pub mod resource;
pub mod state;
