//! What is kept of the objects of the cluster: the few fields that discovery uses, so that ten
//! thousand Deployments with their pods fit into little memory.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest as _, Sha256};

use crate::cluster::resource::VersionedApp;

/// The prefix of the annotations that are read.
const PREFIX: &str = "lockstep.dev/";
/// Set by the Deployment controller on the pods of each of its ReplicaSets.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Names the Service that a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

pub(crate) type Labels = BTreeMap<String, String>;

/// An object's place in the API: its namespace and its name.
pub(crate) type Key = (String, String);

/// An object that is kept in a form of its own.
pub(crate) trait Kept: PartialEq + Send + Sync + 'static {
    /// The object as the API gives it.
    type Object;
    /// What is kept of it; nothing, if it is of no use.
    fn keep(object: Self::Object) -> Option<Self>
    where
        Self: Sized;
}

/// A Deployment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deployment {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) created: Timestamp,
    pub(crate) deleting: bool,
    /// Those of ours, without their prefix.
    pub(crate) annotations: Labels,
    /// Labels of the pod template.
    pub(crate) labels: Labels,
    /// Replicas asked for.
    pub(crate) replicas: u32,
    /// Replicas that there are, terminating ones left out.
    pub(crate) running: u32,
    /// Images of the pod template's containers.
    pub(crate) image: Option<String>,
    /// Named and numbered ports of the containers, in order.
    pub(crate) ports: Vec<(Option<String>, u16)>,
    /// Digest of the pod template.
    pub(crate) template: String,
}

/// A Service with a selector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    pub(crate) labels: Labels,
    pub(crate) selector: Labels,
    pub(crate) ports: Vec<ServicePort>,
    /// Whether its first family is IPv6.
    pub(crate) ipv6: bool,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ServicePort {
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) http2: bool,
}

/// A part of a Service's endpoints.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slice {
    pub(crate) service: String,
    pub(crate) ipv6: bool,
    /// Names and numbers on the endpoints' side.
    pub(crate) ports: Vec<(String, u16)>,
    /// Those that are ready: address and pod.
    pub(crate) endpoints: Vec<(IpAddr, String)>,
}

/// A pod of a Deployment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pod {
    pub(crate) deployment: String,
    pub(crate) created: Timestamp,
    /// Its labels, for an app or version that is read from them.
    pub(crate) labels: Labels,
    /// The image of its first container, with the digest that it was resolved to.
    pub(crate) image: Option<String>,
    /// Where it is reached, if it is ready.
    pub(crate) ready: Option<IpAddr>,
    pub(crate) deleting: bool,
}

/// The place of an object, if it has one.
pub(crate) fn key(metadata: &ObjectMeta) -> Option<Key> {
    Some((metadata.namespace.clone()?, metadata.name.clone()?))
}

fn created(metadata: &ObjectMeta) -> Timestamp {
    // The API's own type is that of another release of the same crate.
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0.as_millisecond());
    created.and_then(|created| Timestamp::from_millisecond(created).ok()).unwrap_or_default()
}

impl Kept for Deployment {
    type Object = apps::Deployment;

    fn keep(object: apps::Deployment) -> Option<Self> {
        let apps::Deployment { metadata, spec, status } = object;
        let spec = spec?;
        let template = spec.template;
        let pod = template.spec.unwrap_or_default();
        let ports = pod.containers.iter().flat_map(|container| container.ports.iter().flatten());
        let ports = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
        let ours = |(key, value): (String, String)| Some((key.strip_prefix(PREFIX)?.to_owned(), value));
        Some(Self {
            created: created(&metadata),
            deleting: metadata.deletion_timestamp.is_some(),
            annotations: metadata.annotations.unwrap_or_default().into_iter().filter_map(ours).collect(),
            name: metadata.name?,
            uid: metadata.uid.unwrap_or_default(),
            labels: template.metadata.and_then(|metadata| metadata.labels).unwrap_or_default(),
            replicas: count(spec.replicas.unwrap_or(1)),
            running: count(status.and_then(|status| status.replicas).unwrap_or(0)),
            image: pod.containers.first().and_then(|container| container.image.clone()),
            ports: ports.filter_map(|port| Some((port.name.clone(), number(port.container_port)?))).collect(),
            template: digest(&pod),
        })
    }
}

impl Kept for Service {
    type Object = core::Service;

    fn keep(object: core::Service) -> Option<Self> {
        let spec = object.spec?;
        // Without one, its endpoints are not ours to judge.
        let selector = spec.selector.filter(|selector| !selector.is_empty())?;
        let tcp = |port: &core::ServicePort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
        let port = |port: core::ServicePort| {
            Some(ServicePort {
                http2: matches!(port.app_protocol.as_deref(), Some("kubernetes.io/h2c" | "h2c" | "grpc")),
                name: port.name.unwrap_or_default(),
                port: number(port.port)?,
            })
        };
        Some(Self {
            labels: object.metadata.labels.unwrap_or_default(),
            selector,
            ports: spec.ports.unwrap_or_default().into_iter().filter(tcp).filter_map(port).collect(),
            ipv6: spec.ip_families.is_some_and(|families| families.first().is_some_and(|ip| ip == "IPv6")),
        })
    }
}

impl Kept for Slice {
    type Object = discovery::EndpointSlice;

    fn keep(object: discovery::EndpointSlice) -> Option<Self> {
        let tcp = |port: &discovery::EndpointPort| port.protocol.as_deref().unwrap_or("TCP") == "TCP";
        let port = |port: discovery::EndpointPort| Some((port.name.unwrap_or_default(), number(port.port?)?));
        Some(Self {
            service: object.metadata.labels?.remove(SERVICE_NAME)?,
            ipv6: object.address_type == "IPv6",
            ports: object.ports.unwrap_or_default().into_iter().filter(tcp).filter_map(port).collect(),
            endpoints: object.endpoints.into_iter().filter_map(endpoint).collect(),
        })
    }
}

/// A ready endpoint that is a pod. An unknown readiness counts as ready
/// (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ready>).
fn endpoint(endpoint: discovery::Endpoint) -> Option<(IpAddr, String)> {
    let conditions = endpoint.conditions.unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true) && !conditions.terminating.unwrap_or(false);
    let pod = endpoint.target_ref.filter(|target| ready && target.kind.as_deref() == Some("Pod"))?.name?;
    Some((endpoint.addresses.first()?.parse().ok()?, pod))
}

impl Kept for Pod {
    type Object = core::Pod;

    fn keep(object: core::Pod) -> Option<Self> {
        let core::Pod { metadata, spec, status } = object;
        let labels = metadata.labels.clone().unwrap_or_default();
        let status = status.unwrap_or_default();
        let deleting = metadata.deletion_timestamp.is_some();
        // What was evicted, or ended with its node, stays as an object for long, and runs nothing
        // (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase>).
        if matches!(status.phase.as_deref(), Some("Failed" | "Succeeded")) {
            return None;
        }
        Some(Self {
            deployment: deployment(&metadata, &labels)?,
            created: created(&metadata),
            image: spec.and_then(|spec| resolved_image(&spec, &status)),
            ready: if deleting { None } else { address(&status) },
            deleting,
            labels,
        })
    }
}

impl Kept for VersionedApp {
    type Object = Self;

    fn keep(mut object: Self) -> Option<Self> {
        object.metadata.managed_fields = None;
        Some(object)
    }
}

/// The Deployment whose ReplicaSet owns a pod: a ReplicaSet is named after its Deployment and the
/// hash of its template.
fn deployment(metadata: &ObjectMeta, labels: &Labels) -> Option<String> {
    let mut owners = metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true) && owner.kind == "ReplicaSet")?;
    let (name, hash) = owner.name.rsplit_once('-')?;
    (labels.get(TEMPLATE_HASH).is_some_and(|known| known == hash)).then(|| name.to_owned())
}

fn address(status: &core::PodStatus) -> Option<IpAddr> {
    let mut conditions = status.conditions.iter().flatten();
    let ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    status.pod_ip.as_ref().filter(|_| ready)?.parse().ok()
}

/// `image@sha256:…`, as soon as the runtime has said what the image was resolved to.
fn resolved_image(spec: &core::PodSpec, status: &core::PodStatus) -> Option<String> {
    let container = spec.containers.first()?;
    let image = container.image.as_deref()?;
    if image.contains("@sha256:") {
        return Some(image.to_owned());
    }
    let mut statuses = status.container_statuses.iter().flatten();
    let id = &statuses.find(|status| status.name == container.name)?.image_id;
    let digest = id.get(id.rfind("sha256:")?..)?;
    Some(format!("{image}@{digest}"))
}

fn count(replicas: i32) -> u32 {
    u32::try_from(replicas).unwrap_or(0)
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}

/// A digest of all that makes pods differ. Labels and annotations of the template do not: a restart
/// by hand leaves an annotation.
fn digest(pod: &core::PodSpec) -> String {
    let text = serde_json::to_vec(pod).unwrap_or_default();
    hex::encode(Sha256::digest(text).get(..16).unwrap_or_default())
}
