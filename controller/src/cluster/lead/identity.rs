//! Who a replica is: the names of its Lease and of its pod.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// The Lease of whoever leads.
pub const LEADER_LEASE: &str = "lockstep-leader";

/// A replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name of its pod, else of its host.
    pub name: String,
    /// Where its Lease and the leader's are.
    pub namespace: String,
    /// The uid of its pod, so that its Lease goes with it; none outside a cluster.
    pub pod_uid: Option<String>,
    /// Tells this process from an earlier one of the same name.
    pub process: String,
}

impl Identity {
    /// The name of its Lease.
    #[must_use]
    pub fn lease(&self) -> String {
        lease_of(&self.name)
    }

    /// How it signs the leader's Lease.
    #[must_use]
    pub fn holder(&self) -> String {
        format!("{}_{}", self.name, self.process)
    }

    /// The owner of its Lease.
    #[must_use]
    pub fn owner(&self) -> Option<OwnerReference> {
        self.pod_uid.clone().map(|uid| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: self.name.clone(),
            uid,
            ..OwnerReference::default()
        })
    }
}

/// The name of the Lease of a replica.
#[must_use]
pub fn lease_of(replica: &str) -> String {
    format!("lockstep-{replica}")
}
