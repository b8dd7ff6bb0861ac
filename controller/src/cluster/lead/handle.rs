//! The way to ask about apps of the cluster and to command them, on any replica. A command is decided
//! by the state machine on the resource as it is at this moment, and written with its
//! resourceVersion: if somebody else wrote meanwhile, it is read and decided again.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::Api;
use kube::api::PostParams;
use tokio::time::{sleep, timeout};

use super::acts::due;
use super::decide::Case;
use super::events::object_of;
use super::links::Links;
use super::perform::PATIENCE;
use super::step::log;
use super::trouble::why;
use super::work::{NotDone, Work};
use crate::cluster::backoff::after_conflict;
use crate::cluster::resource::convert::Figures;
use crate::cluster::resource::{VersionedApp, VersionedAppStatus};
use crate::cluster::state::ClusterState;
use crate::machine::Step;
use crate::record::Transition;
use crate::view::{AppView, HistoryView};
use crate::{AppId, Command, CommandError, Mode, VersionId};

/// Asks about apps of the cluster and commands them. Cheap to clone.
#[derive(Clone)]
pub struct LeadHandle {
    links: Links,
    work: Work,
}

/// What somebody wants of a version.
struct Wish {
    app: String,
    version: String,
    command: Command,
    actor: String,
}

impl LeadHandle {
    pub(super) const fn new(links: Links, work: Work) -> Self {
        Self { links, work }
    }

    /// Whether this replica leads.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.links.leads()
    }

    /// What this replica could not do in the cluster lately: first what it is in want of, then what could
    /// not be done to workloads.
    #[must_use]
    pub fn troubles(&self) -> (Vec<String>, Vec<String>) {
        self.links.troubles.list()
    }

    /// Carries a command out in the name of `actor`. It is carried out, and told of, also if nobody waits for it any
    /// more.
    ///
    /// # Errors
    /// If it is refused, or the cluster does not take it.
    pub async fn command(
        &self,
        app: &str,
        version: &str,
        command: Command,
        actor: &str,
    ) -> Result<AppView, CommandError> {
        let (app, version, actor) = (app.to_owned(), version.to_owned(), actor.to_owned());
        let (handle, wish) = (self.clone(), Wish { app, version, command, actor });
        let done = self.work.run(async move { handle.carry_out(&wish).await }).await;
        done.unwrap_or_else(|not_done| {
            Err(match not_done {
                NotDone::Busy => CommandError::Busy,
                NotDone::Ended => CommandError::ShuttingDown,
            })
        })
    }

    async fn carry_out(&self, wish: &Wish) -> Result<AppView, CommandError> {
        let cluster = self.cluster();
        let id = find(&cluster, &wish.app)?;
        let invalid = || {
            let why = "its settings are invalid: see its conditions, or GET /api/v1/problems";
            CommandError::Cluster(format!("app {id} takes no commands while {why}"))
        };
        let settled = cluster.settled.get(&id).ok_or_else(invalid)?;
        let found = cluster.found.apps.get(&id);
        let api: Api<VersionedApp> = Api::namespaced(self.links.client.clone(), id.namespace());
        let (new, mut waits) = (PostParams::default(), after_conflict());
        loop {
            let mut resource = answer(api.get(id.name())).await?;
            let case = Case::of(&cluster, &id, found, settled);
            let made = decide(&case, &mut resource, wish)?;
            let write = api.replace_status(id.name(), &new, &resource);
            let written = match timeout(PATIENCE, write).await {
                Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                    let busy = || {
                        CommandError::Cluster("others kept writing at the same time; try again".to_owned())
                    };
                    sleep(waits.next().ok_or_else(busy)?).await;
                    continue;
                }
                Ok(Err(error)) if is_refused(&error) => return Err(refusal(&error)),
                Ok(Ok(written)) => written,
                Ok(Err(error)) => written_after_all(&api, &id, &made, refusal(&error)).await?,
                Err(_) => written_after_all(&api, &id, &made, late()).await?,
            };
            self.tell(&case, &written, &made);
            return Ok(self.view(&id, &cluster, &written));
        }
    }

    /// All apps.
    #[must_use]
    pub fn apps(&self) -> Vec<AppView> {
        let cluster = self.cluster();
        let mut resources: Vec<_> = cluster.resources.iter().collect();
        resources.sort_by_key(|(id, _)| *id);
        resources.into_iter().map(|(id, resource)| self.view(id, &cluster, resource)).collect()
    }

    /// One app, by `namespace/name`, or by its name if only one namespace has it.
    ///
    /// # Errors
    /// If there is no such app, or more than one.
    pub fn app(&self, app: &str) -> Result<AppView, CommandError> {
        let cluster = self.cluster();
        let id = find(&cluster, app)?;
        let resource = cluster.resources.get(&id);
        let resource = resource.ok_or_else(|| CommandError::UnknownApp(app.to_owned()))?;
        Ok(self.view(&id, &cluster, resource))
    }

    /// The last transitions of an app.
    ///
    /// # Errors
    /// If there is no such app, or more than one.
    pub fn history(&self, app: &str) -> Result<HistoryView, CommandError> {
        let cluster = self.cluster();
        let id = find(&cluster, app)?;
        let status = cluster.resources.get(&id).and_then(|resource| resource.status.as_ref());
        Ok(HistoryView {
            app: id.name().to_owned(),
            namespace: id.namespace().to_owned(),
            history: status.map(|status| status.history.clone()).unwrap_or_default(),
        })
    }

    fn cluster(&self) -> Arc<ClusterState> {
        Arc::clone(&self.links.cluster.borrow())
    }

    /// What the resource remembers, with what was found and what runs on this replica.
    fn view(&self, id: &AppId, cluster: &ClusterState, resource: &VersionedApp) -> AppView {
        let mut record = resource.record();
        let found = cluster.found.apps.get(id);
        for version in found.iter().flat_map(|found| &found.versions) {
            if let Some(known) = record.version_mut(&version.id) {
                known.endpoints = Arc::clone(&version.endpoints);
            }
        }
        let settled = cluster.settled.get(id);
        let case = settled.map(|settled| Case::of(cluster, id, found, settled));
        let policy = settled.map(|settled| &settled.policy).filter(|policy| policy.mode == Mode::Manage);
        let acts = policy.map(|policy| due(&record, found.map(|found| &**found), policy)).unwrap_or_default();
        let spec = case.map(|case| case.spec(&record));
        let mut view = AppView::new(id, spec.as_ref(), &record, &*self.links.data_plane);
        let status = resource.status.as_ref();
        for version in &mut view.versions {
            let entry = status.and_then(|status| status.versions.iter().find(|entry| entry.id == version.id));
            let workload = found
                .and_then(|found| found.versions.iter().find(|found| found.id == version.id))
                .map(|version| &version.workload);
            version.desired = workload.map_or(0, |workload| usize::try_from(workload.desired).unwrap_or(0));
            version.restores_to = acts.iter().find_map(|act| act.restores(&version.id));
            // Other replicas have requests, too: the leader counts them now and then.
            version.in_flight = version.in_flight.max(entry.map_or(0, |entry| entry.in_flight));
        }
        if let Some(status) = status {
            view.conditions.clone_from(&status.conditions);
            view.plan.clone_from(&status.plan);
        }
        view
    }

    fn tell(&self, case: &Case<'_>, written: &VersionedApp, made: &[Transition]) {
        let uid = written.metadata.uid.as_deref().unwrap_or_default();
        for transition in made {
            log(case.app, transition);
            self.links.observer.transitioned(case.app, transition);
            self.links
                .events
                .transition(object_of(case.app, &transition.version, case.found, uid), transition);
        }
    }
}

/// Changes the status as the command wants it.
fn decide(
    case: &Case<'_>,
    resource: &mut VersionedApp,
    wish: &Wish,
) -> Result<Vec<Transition>, CommandError> {
    let mut record = resource.record();
    record.repair(case.now);
    let spec = case.spec(&record);
    let mut step = Step::new(&mut record, case.now, &wish.actor);
    step.command(&spec, &wish.version, wish.command)?;
    let made = step.finish();
    let status = resource.status.get_or_insert_default();
    let figures = figures(status);
    status.set_record(&record, &figures);
    Ok(made)
}

/// The figures stay as the leader wrote them.
fn figures(status: &VersionedAppStatus) -> BTreeMap<VersionId, Figures> {
    let figures = status.versions.iter().map(|entry| {
        let figures = Figures { ready: entry.ready, desired: entry.desired, in_flight: entry.in_flight };
        (entry.id.clone(), figures)
    });
    figures.collect()
}

/// The app of that identity, or the only one of that name.
fn find(cluster: &ClusterState, app: &str) -> Result<AppId, CommandError> {
    if let Some(id) = app.parse::<AppId>().ok().filter(|id| cluster.resources.contains_key(id)) {
        return Ok(id);
    }
    let mut named = cluster.resources.keys().filter(|id| id.name() == app);
    match (named.next(), named.next()) {
        (Some(id), None) => Ok(id.clone()),
        (None, _) => Err(CommandError::UnknownApp(app.to_owned())),
        (Some(_), Some(_)) => Err(CommandError::AmbiguousApp(app.to_owned())),
    }
}

async fn answer<T>(asked: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CommandError> {
    timeout(PATIENCE, asked).await.map_err(|_| late())?.map_err(|error| refusal(&error))
}

/// Whether a write without an answer took effect shows in what is there now; else it is as it failed.
async fn written_after_all(
    api: &Api<VersionedApp>,
    app: &AppId,
    made: &[Transition],
    failure: CommandError,
) -> Result<VersionedApp, CommandError> {
    let read = answer(api.get(app.name())).await.ok();
    let took_effect = |read: &VersionedApp| {
        let history = read.record().history;
        !made.is_empty() && made.iter().all(|transition| history.contains(transition))
    };
    read.filter(took_effect).ok_or_else(|| {
        tracing::warn!(%app, %failure, "whether a command was written is not known");
        failure
    })
}

/// Whether the API says that it did not write. One that failed, or waited in vain for its own storage, does not know.
fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code < 500)
}

fn late() -> CommandError {
    CommandError::Cluster("the API does not answer".to_owned())
}

fn refusal(error: &kube::Error) -> CommandError {
    CommandError::Cluster(why(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_says_no_has_not_written() {
        for (code, refused) in [(403, true), (422, true), (500, false), (504, false)] {
            let status: kube::core::Status =
                serde_json::from_value(serde_json::json!({"status": "Failure", "code": code})).unwrap();
            assert_eq!(is_refused(&kube::Error::Api(status.into())), refused, "{code}");
        }
    }
}
