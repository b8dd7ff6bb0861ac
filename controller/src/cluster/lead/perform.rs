//! Does to workloads what is due. Before anything is done the state is read once more, so that what
//! somebody decided a moment ago is respected; each write carries what it was decided on, so that it
//! has its effect once, whoever else believes to lead.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions, PropagationPolicy};
use kube::{Api, Client};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::acts::{Act, ActKind};
use super::links::Links;
use super::report::Life;
use super::trouble::why;
use crate::AppId;
use crate::cluster::backoff::after_conflict;
use crate::cluster::resource::VersionedApp;

/// The longest that a write may take; with a short lease it is less, see [`Links`].
pub(super) const PATIENCE: Duration = Duration::from_secs(4);

/// Why an act was not done.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{}", why(.0))]
    Api(#[from] kube::Error),
    #[error("the API does not answer")]
    Timeout,
}

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It took effect.
    Done,
    /// It was done before, or is not wanted any more.
    NotNeeded,
}

/// Does one.
pub(super) async fn perform(links: &Links, app: &AppId, act: &Act) -> Result<Outcome, Failure> {
    match timeout(links.patience, attempts(&links.client, app, act)).await {
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(Outcome::NotNeeded),
        Ok(done) => Ok(done?),
        Err(_) => Err(Failure::Timeout),
    }
}

/// Somebody else wrote meanwhile: everything is read and judged again.
async fn attempts(client: &Client, app: &AppId, act: &Act) -> Result<Outcome, kube::Error> {
    let mut waits = after_conflict();
    loop {
        match attempt(client, app, act).await {
            Err(kube::Error::Api(status)) if status.code == 409 => match waits.next() {
                Some(wait) => sleep(wait).await,
                None => return Err(kube::Error::Api(status)),
            },
            done => return done,
        }
    }
}

async fn attempt(client: &Client, app: &AppId, act: &Act) -> Result<Outcome, kube::Error> {
    let namespace = app.namespace();
    let resources: Api<VersionedApp> = Api::namespaced(client.clone(), namespace);
    let record = resources.get(app.name()).await?.record();
    let version = record.version(&act.version).filter(|version| Life::of(version) == act.life);
    let Some(version) = version else { return Ok(Outcome::NotNeeded) };
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    match &act.kind {
        ActKind::ScaleDown if version.workload.released => scale(&deployments, act, 0).await,
        ActKind::ScaleUp { replicas } if version.workload.restore => {
            scale(&deployments, act, *replicas).await
        }
        ActKind::Delete { service } if version.workload.released => {
            let Some(known) = deployments.get_opt(&act.deployment).await? else {
                return Ok(Outcome::NotNeeded);
            };
            // What somebody scaled up since is wanted.
            let is_wanted = known.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1) > 0;
            if known.metadata.uid.as_ref() != Some(&act.uid) || is_wanted {
                return Ok(Outcome::NotNeeded);
            }
            if let Some(service) = service {
                let services: Api<Service> = Api::namespaced(client.clone(), namespace);
                delete_service(&services, service, &known).await?;
            }
            unless_gone(deployments.delete(&act.deployment, &as_read(&known.metadata)).await)?;
            Ok(Outcome::Done)
        }
        _ => Ok(Outcome::NotNeeded),
    }
}

/// Deletes a Service, unless it selects other pods than those of the Deployment by now.
async fn delete_service(
    services: &Api<Service>,
    name: &str,
    deployment: &Deployment,
) -> Result<(), kube::Error> {
    let Some(service) = services.get_opt(name).await? else { return Ok(()) };
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let labels = template.and_then(|template| template.labels.as_ref());
    let selects = |(key, value): (&String, &String)| labels.is_some_and(|all| all.get(key) == Some(value));
    if !selector.is_some_and(|selector| selector.iter().all(selects)) {
        return Ok(());
    }
    unless_gone(services.delete(name, &as_read(&service.metadata)).await)
}

/// Only what is still as it was read is deleted.
fn as_read(object: &ObjectMeta) -> DeleteParams {
    DeleteParams {
        preconditions: Some(Preconditions {
            uid: object.uid.clone(),
            resource_version: object.resource_version.clone(),
        }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    }
}

/// Sets the replicas by the scale subresource, unless they are there already.
async fn scale(deployments: &Api<Deployment>, act: &Act, replicas: u32) -> Result<Outcome, kube::Error> {
    let mut scale = deployments.get_scale(&act.deployment).await?;
    let wanted = i32::try_from(replicas).unwrap_or(i32::MAX);
    let present = scale.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
    let same = scale.metadata.uid.as_ref().is_none_or(|uid| *uid == act.uid);
    // What somebody scaled up is not scaled up further.
    if !same || present == wanted || (wanted > 0 && present > 0) {
        return Ok(Outcome::NotNeeded);
    }
    scale.spec.get_or_insert_default().replicas = Some(wanted);
    // It carries the resourceVersion of the Deployment that was read.
    deployments.replace_scale(&act.deployment, &PostParams::default(), &scale).await?;
    Ok(Outcome::Done)
}

fn unless_gone<T>(deleted: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match deleted {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        deleted => deleted.map(drop),
    }
}
