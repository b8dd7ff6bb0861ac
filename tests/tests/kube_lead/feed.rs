//! What discovery would find: lists again and again, with as little thought as possible.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use lockstep_controller::cluster::ClusterState;
use lockstep_controller::cluster::claim::{Claim, Settled};
use lockstep_controller::cluster::found::{FoundApp, FoundVersion, Workload};
use lockstep_controller::cluster::resource::VersionedApp;
use lockstep_controller::{AppId, Mode, Policy, ReadyRule, Share};
use tokio::sync::watch;

const PAUSE: Duration = Duration::from_millis(150);

pub async fn run(client: Client, states: watch::Sender<Arc<ClusterState>>) {
    let mut known = ClusterState { complete: true, stored: true, ..ClusterState::default() };
    loop {
        match look(&client).await {
            Ok(mut new) => {
                keep_what_is_equal(&mut new, &known);
                if new != known || !states.borrow().complete {
                    states.send_replace(Arc::new(new.clone()));
                }
                known = new;
            }
            Err(error) => eprintln!("the feed: {error}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn look(client: &Client) -> Result<ClusterState, kube::Error> {
    let all = ListParams::default();
    let deployments = Api::<Deployment>::namespaced(client.clone(), "web").list(&all).await?;
    let slices = Api::<EndpointSlice>::namespaced(client.clone(), "web").list(&all).await?;
    let pods = Api::<Pod>::namespaced(client.clone(), "web").list(&all).await?;
    let resources = Api::<VersionedApp>::namespaced(client.clone(), "web").list(&all).await?;
    let mut state = ClusterState { complete: true, stored: true, ..ClusterState::default() };
    for resource in resources {
        let app = resource.app_id().expect("an app");
        state.settled.insert(app.clone(), Arc::new(settled(&resource)));
        state.resources.insert(app, Arc::new(resource));
    }
    let mut versions: Vec<_> =
        deployments.iter().filter_map(|deployment| version(deployment, &slices.items, &pods.items)).collect();
    versions.sort_by_key(|version| version.revision);
    if !versions.is_empty() {
        let id: AppId = "web/shop".parse().expect("an app");
        state.settled.entry(id.clone()).or_insert_with(|| Arc::new(settled(&VersionedApp::default())));
        let claim = Arc::new(Claim {
            id: id.clone(),
            spec: None,
            hosts: Vec::new(),
            path: None,
            expire_policy: None,
        });
        state.found.apps.insert(id.clone(), Arc::new(FoundApp { id, claim, versions }));
    }
    Ok(state)
}

fn version(deployment: &Deployment, slices: &[EndpointSlice], pods: &[Pod]) -> Option<FoundVersion> {
    let name = deployment.name_any();
    let created = deployment.metadata.creation_timestamp.as_ref()?.0;
    let revision = deployment.annotations().get("lockstep.dev/revision").and_then(|text| text.parse().ok());
    let of_it = |pod: &&Pod| pod.labels().get("app.kubernetes.io/instance") == Some(&name);
    Some(FoundVersion {
        id: deployment.labels().get("plt.dev/version")?.parse().ok()?,
        revision: revision.unwrap_or(u64::try_from(created.as_millisecond()).ok()?),
        workload: Workload {
            deployment: name.clone(),
            uid: deployment.uid()?,
            service: Some(name.clone()),
            desired: u32::try_from(deployment.spec.as_ref()?.replicas.unwrap_or(1)).ok()?,
            pods: u32::try_from(pods.iter().filter(of_it).count()).ok()?,
            deleting: deployment.metadata.deletion_timestamp.is_some(),
            template: "template".to_owned(),
            created: jiff::Timestamp::from_millisecond(created.as_millisecond()).ok()?,
        },
        endpoints: slices
            .iter()
            .filter(|slice| slice.labels().get("kubernetes.io/service-name") == Some(&name))
            .flat_map(endpoints)
            .collect(),
        http2: false,
    })
}

fn endpoints(slice: &EndpointSlice) -> Vec<SocketAddr> {
    let port = slice.ports.iter().flatten().find_map(|port| u16::try_from(port.port?).ok()).unwrap_or(80);
    let ready = slice.endpoints.iter();
    let ready =
        ready.filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|held| held.ready == Some(true)));
    ready
        .filter_map(|endpoint| Some(SocketAddr::new(endpoint.addresses.first()?.parse().ok()?, port)))
        .collect()
}

/// Times short enough for a test; the mode as the resource says.
fn settled(resource: &VersionedApp) -> Settled {
    Settled {
        hosts: vec!["shop.test".to_owned()],
        path: "/".to_owned(),
        policy: Policy {
            ready: ReadyRule { share: Share::ALL, deadline: Duration::from_secs(60) },
            grace: Duration::from_secs(3),
            idle_window: Duration::from_secs(2),
            max_alive: Duration::from_secs(600),
            mode: match resource.spec.mode.as_deref() {
                Some("observe") => Mode::Observe,
                Some("advise") => Mode::Advise,
                _ => Mode::Manage,
            },
            ..Policy::default()
        },
        active: None,
        canary: None,
        health_checked: false,
    }
}

/// What did not change stays the same object, as it does in discovery.
fn keep_what_is_equal(new: &mut ClusterState, old: &ClusterState) {
    for (app, resource) in &mut new.resources {
        if let Some(known) = old.resources.get(app).filter(|known| *known == resource) {
            *resource = Arc::clone(known);
        }
    }
    for (app, settled) in &mut new.settled {
        if let Some(known) = old.settled.get(app).filter(|known| *known == settled) {
            *settled = Arc::clone(known);
        }
    }
    for (app, found) in &mut new.found.apps {
        if let Some(known) = old.found.apps.get(app).filter(|known| *known == found) {
            *found = Arc::clone(known);
        }
    }
}
