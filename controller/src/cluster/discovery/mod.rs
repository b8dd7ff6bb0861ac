//! From the objects of a namespace to the apps and versions in it. Pure: the same objects give the
//! same answer, whatever came first. `objects` is what is kept of objects, `index` finds what
//! belongs together, `versions` says which Deployment is which version, `service` where it is
//! reached.

mod index;
mod mint;
pub(crate) mod objects;
mod service;
mod versions;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::claim::Claim;
use super::found::{Found, FoundApp, FoundVersion, Problem, ProblemReason, Workload};
use super::resource::{EXPIRE_POLICIES, VersionedApp};
use crate::{AppId, VersionId};
use index::Index;
use objects::{Deployment, Pod, Service, Slice};
use versions::Candidate;

/// What is taken for a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The label that holds the name of the app.
    pub app: String,
    /// The label that holds the version id.
    pub version: String,
    /// Whether Deployments without a version label get ids from their images' digests.
    pub mint_ids: bool,
    /// Whether an older Deployment of an app without a version label is its first version.
    pub adopt: bool,
}

impl Options {
    /// Whether these are the labels of that version of an app.
    pub(crate) fn name(&self, labels: &BTreeMap<String, String>, app: &AppId, version: &VersionId) -> bool {
        let is = |label: &String, value: &str| labels.get(label).is_some_and(|labelled| labelled == value);
        is(&self.app, app.name()) && is(&self.version, version.as_str())
    }
}

/// The objects of one namespace, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Objects {
    pub(crate) deployments: BTreeMap<String, Arc<Deployment>>,
    pub(crate) services: BTreeMap<String, Arc<Service>>,
    pub(crate) slices: BTreeMap<String, Arc<Slice>>,
    pub(crate) pods: BTreeMap<String, Arc<Pod>>,
    /// Whether pods may be seen at all.
    pub(crate) pods_known: bool,
    /// The resources, by app.
    pub(crate) resources: BTreeMap<String, Arc<VersionedApp>>,
}

impl Objects {
    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { deployments, services, slices, pods, pods_known: _, resources } = self;
        deployments.is_empty()
            && services.is_empty()
            && slices.is_empty()
            && pods.is_empty()
            && resources.is_empty()
    }
}

/// Ids that were made from images, by uid and template of the Deployment: once it is scaled to zero,
/// no pod is left to tell.
pub(crate) type Minted = HashMap<(String, String), VersionId>;

/// Finds the apps of a namespace and what is wrong in it.
pub(crate) fn discover(namespace: &str, objects: &Objects, options: &Options, minted: &mut Minted) -> Found {
    let index = Index::new(objects);
    let mut scope = Scope { namespace, options, index: &index, problems: Vec::new() };
    let mut by_app: BTreeMap<&str, Vec<&Deployment>> = BTreeMap::new();
    for deployment in objects.deployments.values() {
        if let Some(app) = deployment.labels.get(&options.app) {
            by_app.entry(app).or_default().push(deployment);
        }
    }
    // What has a resource is remembered also without any version.
    for app in objects.resources.keys() {
        by_app.entry(app).or_default();
    }
    let apps = by_app.into_iter();
    let apps = apps.filter_map(|(app, deployments)| scope.app(app, &deployments, minted));
    let apps = apps.map(|app| (app.id.clone(), Arc::new(app))).collect();
    minted.retain(|(uid, _), _| objects.deployments.values().any(|deployment| deployment.uid == *uid));
    Found { apps, problems: scope.problems }
}

/// What the steps of a discovery share.
struct Scope<'s, 'o> {
    namespace: &'s str,
    options: &'s Options,
    index: &'s Index<'o>,
    problems: Vec<Problem>,
}

impl<'o> Scope<'_, 'o> {
    fn app(&mut self, name: &str, deployments: &[&'o Deployment], minted: &mut Minted) -> Option<FoundApp> {
        let id = match self.id(name) {
            Ok(id) => id,
            Err(message) => {
                for deployment in deployments {
                    self.problem(deployment, ProblemReason::InvalidApp, &message);
                }
                return None;
            }
        };
        let mut candidates = self.versions(name, deployments, minted);
        candidates
            .sort_by_key(|version| (version.revision, version.deployment.created, &version.deployment.name));
        let expire_policy = candidates.last().and_then(|newest| self.expire_policy(newest.deployment));
        let claim = Claim { expire_policy, ..self.claim(&id, candidates.last()) };
        let versions: Vec<_> = candidates.iter().map(|candidate| self.version(candidate)).collect();
        // A Deployment that merely carries the label is no app.
        let known = !versions.is_empty() || claim.spec.is_some();
        known.then(|| FoundApp { id, claim: Arc::new(claim), versions })
    }

    /// Apps are named as their resources are.
    fn id(&self, name: &str) -> Result<AppId, String> {
        let dns = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
        AppId::new(self.namespace, name).ok().filter(|_| dns).ok_or_else(|| {
            format!(
                "label {} holds {name:?}, which can't name a VersionedApp: write lower-case letters, digits, - and .",
                self.options.app
            )
        })
    }

    fn claim(&self, id: &AppId, newest: Option<&Candidate<'o>>) -> Claim {
        let of_newest = |annotation: &str, label: &str| {
            let deployment = newest?.deployment;
            deployment.annotations.get(annotation).or_else(|| deployment.labels.get(label)).cloned()
        };
        let hosts = of_newest("hosts", "plt.dev/hostname").unwrap_or_default();
        let hosts = hosts.split([',', ' ', '\n', '\t']).filter(|host| !host.is_empty());
        Claim {
            id: id.clone(),
            spec: self.index.objects.resources.get(id.name()).map(|resource| resource.spec.clone()),
            hosts: hosts.map(str::to_owned).collect(),
            path: of_newest("path", "plt.dev/path"),
            expire_policy: None,
        }
    }

    /// A word that nobody knows is told, and counts for nothing.
    fn expire_policy(&mut self, newest: &Deployment) -> Option<String> {
        let policy = newest.labels.get("plt.dev/expire-policy")?;
        if EXPIRE_POLICIES.contains(&policy.as_str()) {
            return Some(policy.clone());
        }
        let message = format!(
            "label plt.dev/expire-policy holds {policy:?}, which is not one of {}: it counts for nothing",
            EXPIRE_POLICIES.join(", ")
        );
        self.problem(newest, ProblemReason::InvalidSettings, &message);
        None
    }

    fn version(&mut self, candidate: &Candidate<'o>) -> FoundVersion {
        let Candidate { deployment, id, revision, .. } = candidate;
        let members: HashMap<&str, &Pod> = candidate.members.iter().copied().collect();
        let reached = service::reach(self.index, deployment, &members, &self.options.version);
        let endpoints = reached.endpoints.unwrap_or_else(|| {
            self.problem(deployment, ProblemReason::NoPort, &reached.portless);
            Default::default()
        });
        let pods = self.index.pods(&deployment.name).len();
        let workload = Workload {
            deployment: deployment.name.clone(),
            uid: deployment.uid.clone(),
            service: reached.own_service.map(str::to_owned),
            desired: deployment.replicas,
            pods: if self.index.objects.pods_known {
                u32::try_from(pods).unwrap_or(u32::MAX)
            } else {
                deployment.running
            },
            deleting: deployment.deleting,
            template: deployment.template.clone(),
            created: deployment.created,
        };
        FoundVersion {
            id: id.clone(),
            revision: *revision,
            workload,
            endpoints: endpoints.into_iter().collect(),
            http2: reached.http2,
        }
    }

    fn problem(&mut self, deployment: &Deployment, reason: ProblemReason, message: &str) {
        self.problems.push(Problem {
            kind: "Deployment",
            namespace: self.namespace.to_owned(),
            name: deployment.name.clone(),
            uid: deployment.uid.clone(),
            reason,
            message: message.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests;
