//! Where a version is reached: the endpoints of its Service, or its ready pods where it has none.
//! An endpoint counts only if its pod belongs to the version, as a Service may select the pods of
//! several (promise P1).

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use super::index::Index;
use super::objects::{Deployment, Pod, Service, ServicePort};

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
/// The port that is taken where several are to be had.
const HTTP: &str = "http";

/// Where a version is reached.
pub(super) struct Reached<'o> {
    /// The Service that selects this version's pods only.
    pub(super) own_service: Option<&'o str>,
    /// `None` if there is no port to send requests to.
    pub(super) endpoints: Option<BTreeSet<SocketAddr>>,
    pub(super) http2: bool,
    /// Why there is no port, and what to do.
    pub(super) portless: String,
}

/// A port on the endpoints' side.
enum Port<'o> {
    /// That of the Service.
    Named(&'o ServicePort),
    /// That number.
    Number(u16),
}

/// Finds where the pods of a Deployment are reached; `version` is the key of the version label.
pub(super) fn reach<'o>(
    index: &Index<'o>,
    deployment: &'o Deployment,
    members: &HashMap<&'o str, &'o Pod>,
    version: &str,
) -> Reached<'o> {
    let wanted = deployment.annotations.get("port").map(String::as_str);
    let Some((name, service)) = find(index, deployment, wanted, version) else {
        return by_pods(deployment, members, wanted);
    };
    let shared = index.selects_others(service, deployment);
    let port = service_port(service, wanted);
    Reached {
        own_service: (!shared).then_some(name),
        http2: matches!(port, Some(Port::Named(port)) if port.http2),
        endpoints: port.map(|port| {
            // Without sight of pods, a Service of this version alone is to be trusted.
            let belongs = |pod: &str| {
                members.get(pod).map_or(!index.objects.pods_known && !shared, |pod| !pod.deleting)
            };
            endpoints(index, name, service, &port, belongs)
        }),
        portless: portless(
            wanted,
            &format!("Service {name} has"),
            service.ports.iter().map(|port| (Some(port.name.as_str()), port.port)),
        ),
    }
}

/// The Service of a version, among those that select its pods: by name and instance, else by name
/// and version, else by name, else by its selector alone.
fn find<'o>(
    index: &Index<'o>,
    deployment: &'o Deployment,
    wanted: Option<&str>,
    version: &str,
) -> Option<(&'o str, &'o Service)> {
    let same = |service: &Service, key: &str| {
        let label = service.labels.get(key);
        label.is_some() && label == deployment.labels.get(key)
    };
    let rank = |service: &Service| match same(service, NAME) {
        true if same(service, INSTANCE) => 0,
        true if same(service, version) => 1,
        // Labelled for another version, and yet it selects this one.
        true if service.labels.contains_key(version) => 3,
        true => 2,
        false => 4,
    };
    let offers = |service: &Service| {
        let number = wanted.and_then(|wanted| wanted.parse::<u16>().ok());
        let name = wanted.unwrap_or(HTTP);
        service.ports.iter().any(|port| port.name == name || Some(port.port) == number)
    };
    index.selecting(&deployment.labels).min_by_key(|(name, service)| {
        (rank(service), !offers(service), usize::MAX - service.selector.len(), *name)
    })
}

fn service_port<'o>(service: &'o Service, wanted: Option<&str>) -> Option<Port<'o>> {
    let named = |name: &str| service.ports.iter().find(|port| port.name == name);
    let Some(wanted) = wanted else {
        return named(HTTP).or_else(|| service.ports.first()).map(Port::Named);
    };
    let number = wanted.parse::<u16>().ok().filter(|number| *number > 0);
    let numbered = || service.ports.iter().find(|port| Some(port.port) == number);
    named(wanted).or_else(numbered).map(Port::Named).or(number.map(Port::Number))
}

fn endpoints(
    index: &Index<'_>,
    name: &str,
    service: &Service,
    port: &Port<'_>,
    belongs: impl Fn(&str) -> bool,
) -> BTreeSet<SocketAddr> {
    let slices = index.slices(name);
    // A pod with addresses of both families is one endpoint.
    let preferred = slices.iter().any(|slice| slice.ipv6 == service.ipv6);
    let slices = slices.iter().filter(|slice| !preferred || slice.ipv6 == service.ipv6);
    let numbered = slices.filter_map(|slice| {
        let number = match port {
            Port::Number(number) => *number,
            Port::Named(port) => slice.ports.iter().find(|(name, _)| *name == port.name)?.1,
        };
        Some(slice.endpoints.iter().map(move |(address, pod)| (SocketAddr::new(*address, number), pod)))
    });
    numbered.flatten().filter(|(_, pod)| belongs(pod)).map(|(endpoint, _)| endpoint).collect()
}

fn by_pods<'o>(
    deployment: &Deployment,
    members: &HashMap<&'o str, &'o Pod>,
    wanted: Option<&str>,
) -> Reached<'o> {
    let ports = &deployment.ports;
    let named = |wanted: &str| ports.iter().find(|(name, _)| name.as_deref() == Some(wanted));
    let port = match wanted {
        Some(wanted) => named(wanted)
            .map(|(_, number)| *number)
            .or_else(|| wanted.parse().ok().filter(|number| *number > 0)),
        None => named(HTTP).or_else(|| ports.first()).map(|(_, number)| *number),
    };
    let addresses =
        |port| members.values().filter_map(|pod| pod.ready).map(move |ip| SocketAddr::new(ip, port));
    Reached {
        own_service: None,
        endpoints: port.map(|port| addresses(port).collect()),
        http2: false,
        portless: portless(
            wanted,
            "no Service selects its pods, and its containers have",
            ports.iter().map(|(name, number)| (name.as_deref(), *number)),
        ),
    }
}

/// Why none of these ports can be taken.
fn portless<'p>(
    wanted: Option<&str>,
    owner: &str,
    ports: impl Iterator<Item = (Option<&'p str>, u16)>,
) -> String {
    let show = |(name, number): (Option<&str>, u16)| match name {
        Some(name) if !name.is_empty() => format!("{name} ({number})"),
        _ => number.to_string(),
    };
    let there: Vec<_> = ports.map(show).collect();
    let there = if there.is_empty() { "no TCP port".to_owned() } else { there.join(", ") };
    match wanted {
        Some(wanted) => format!("annotation lockstep.dev/port asks for {wanted:?}, but {owner} {there}"),
        None => format!("{owner} {there}; name one, or set the annotation lockstep.dev/port to its number"),
    }
}
