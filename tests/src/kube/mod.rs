//! A real cluster for tests, without containers: etcd, kube-apiserver and kube-controller-manager run as
//! processes, and the harness plays scheduler and kubelet: it gives every pod a real origin on an address of its
//! own. All of it lives in a network namespace, which [`lab`] makes, so nothing leaves it and ports are fixed.

mod api;
mod asked;
mod cluster;
mod control_plane;
mod fleet;
mod install;
mod kubeconfig;
mod lab;
mod made;
mod node;
mod pods;
mod proxy;
mod rollout;
mod vapp;

pub use api::{Api, Refused};
pub use asked::Asked;
pub use cluster::Cluster;
pub use control_plane::{ADMIN, ControlPlane};
pub use fleet::{Fleet, Replica};
pub use install::{SYSTEM, following, shipped};
pub use lab::{again, in_namespace, is_inside, lab};
pub use made::Made;
pub use node::Server;
pub use proxy::ApiProxy;
pub use rollout::{Rollout, rollout};
pub use vapp::Vapp;
