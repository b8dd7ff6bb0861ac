//! One app's turn: decide, write, tell, act.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::time::{Instant, sleep, timeout};

use super::acts::{Act, due};
use super::conditions::{Causes, Held};
use super::decide::{Case, Decision};
use super::events::{object_of, reference};
use super::fleet::Fleet;
use super::links::Links;
use super::memo::Memo;
use super::perform::{Outcome, perform};
use super::report::Life;
use super::status::{Parts, canary, is_due};
use super::trouble::{Part, is_ending, why};
use super::unready;
use super::webhook::{Question, Webhooks};
use super::world::ClusterWorld;
use crate::cluster::backoff::after_conflict;
use crate::cluster::claim::Settled;
use crate::cluster::found::FoundApp;
use crate::cluster::resource::{VersionedApp, VersionedAppSpec, VersionedAppStatus};
use crate::cluster::state::ClusterState;
use crate::record::{AppRecord, Transition, VersionRecord};
use crate::{AppId, Cleanup, Mode, Policy, VersionId, VersionState, Webhook};

/// What an earlier leader saw, and this one does not, is only taken for gone after leading for so long: its watches
/// may be slower by a moment.
const CATCH_UP: std::time::Duration = std::time::Duration::from_secs(5);
/// How long a version waits before its status says for whom.
const SAY_WHY_AFTER: std::time::Duration = std::time::Duration::from_secs(30);

/// What became of a status that was to be written.
enum Written {
    /// It is there, as it is now.
    Done(Arc<VersionedApp>),
    /// Somebody else wrote meanwhile.
    Conflict,
    /// It is not.
    Failed,
}

/// An app's turn in a pass of the leader, with what is needed for it. Turns of several apps go on at the same time.
pub(super) struct Turn<'l> {
    pub(super) links: &'l Links,
    pub(super) webhooks: &'l Webhooks,
    pub(super) cluster: &'l ClusterState,
    pub(super) fleet: &'l Fleet,
    pub(super) app: &'l AppId,
    pub(super) memo: Memo,
    /// Webhooks that are to be asked.
    pub(super) questions: Vec<(Webhook, Question)>,
    /// Since when the leader leads.
    pub(super) began: Instant,
}

impl Turn<'_> {
    /// Does what is due for an app. If somebody else writes meanwhile it is decided again at once: whoever writes
    /// all the time would be quicker for ever otherwise.
    pub(super) async fn take(mut self) -> Self {
        let (cluster, fleet, app) = (self.cluster, self.fleet, self.app);
        let found = cluster.found.apps.get(app);
        // Other apps wait for their turn meanwhile: fewer attempts than a command is worth.
        let mut waits = after_conflict().take(8);
        while self.links.leads() && self.attempt(cluster, fleet, app, found).await {
            let Some(wait) = waits.next() else { break };
            sleep(wait).await;
            if !self.read_again().await {
                break;
            }
        }
        self
    }

    /// What somebody else wrote is what is decided on next; false if it can't be read.
    async fn read_again(&mut self) -> bool {
        let read = timeout(self.links.patience, self.api(self.app).get(self.app.name())).await;
        let Ok(Ok(newer)) = read else { return false };
        self.memo.overlay(self.cluster.resources.get(self.app), newer);
        true
    }

    /// Does what is due; true if somebody else wrote meanwhile.
    async fn attempt(
        &mut self,
        cluster: &ClusterState,
        fleet: &Fleet,
        app: &AppId,
        found: Option<&Arc<FoundApp>>,
    ) -> bool {
        let watched = cluster.resources.get(app);
        let settled = cluster.settled.get(app).cloned();
        let memo = &mut self.memo;
        let Some(resource) = memo.resource(watched) else {
            if found.is_some_and(stays) && settled.is_some() && memo.may_write() {
                self.create(app).await;
            }
            return false;
        };
        if !memo.is_due(Some(&resource), found, settled.as_ref()) {
            return false;
        }
        let nothing_left = found.is_none_or(|found| found.versions.is_empty());
        let gone = || nothing_left.then(|| Arc::new(gone()));
        let Some(settled) = settled.clone().or_else(gone) else { return false };
        if resource.metadata.deletion_timestamp.is_some() {
            return false;
        }
        let case = Case::of(cluster, app, found, &settled);
        for transition in self.memo.take_untold(&resource.record()) {
            self.tell_of(&case, &resource, &transition);
        }
        let (wanted, decision) = self.decide(&case, fleet, &resource);
        if self.is_mistaken(app, &resource.record(), &decision).await {
            return false;
        }
        let memo = &mut self.memo;
        let present = resource.status.as_ref();
        let unreadable = present.is_some_and(|present| !present.unreadable.is_empty());
        let due_write = unreadable || is_due(present, &wanted, memo.written_ago());
        // Figures wait for a while; they must not wait for ever.
        let is_late = !due_write && is_due(present, &wanted, None);
        let settles = !is_late && (!due_write || memo.may_write());
        let written = match due_write {
            true if memo.may_write() => self.write(&case, watched, &resource, wanted, &decision).await,
            true => Written::Failed,
            false => Written::Done(Arc::clone(&resource)),
        };
        let (written, conflict) = match written {
            Written::Done(written) => (Some(written), false),
            Written::Conflict => (None, true),
            Written::Failed => (None, false),
        };
        if let Some(written) = &written {
            self.act(&case, &written.record()).await;
        }
        let memo = &mut self.memo;
        let settled = cluster.settled.get(app).cloned();
        let settles = settles && written.is_some();
        memo.stepped(written.or(Some(resource)), found.cloned(), settled, &decision.record, settles);
        conflict
    }

    /// Whether a version is taken for gone that is not: what an earlier leader saw, the watches of this one may show a
    /// moment later, and a watch can be dead without anybody knowing. So its Deployment is asked for.
    async fn is_mistaken(&self, app: &AppId, written: &AppRecord, decision: &Decision) -> bool {
        let deployments: Api<Deployment> = Api::namespaced(self.links.client.clone(), app.namespace());
        let carries = |deployment: &Deployment, version: &VersionId| {
            labels(deployment).is_some_and(|labels| self.links.options.name(labels, app, version))
        };
        for version in decision.missed(written) {
            if self.began.elapsed() < CATCH_UP {
                return true;
            }
            let Some(name) = &version.workload.deployment else { continue };
            match timeout(self.links.patience, deployments.get_opt(name)).await {
                Ok(Ok(deployment)) if deployment.as_ref().is_some_and(|it| carries(it, &version.id)) => {
                    return true;
                }
                Ok(Ok(_)) => {}
                // Who may not look has to believe the watch.
                Ok(Err(kube::Error::Api(status))) if status.code == 403 => {}
                Ok(Err(_)) | Err(_) => return true,
            }
        }
        false
    }

    /// What should be written of an app.
    fn decide(
        &mut self,
        case: &Case<'_>,
        fleet: &Fleet,
        resource: &VersionedApp,
    ) -> (VersionedAppStatus, Decision) {
        let written = resource.record();
        let now = Instant::now();
        let wished = RefCell::new(Vec::new());
        let released = |version: &VersionId| {
            let Some(life) = written.version(version).map(Life::of) else { return false };
            let question = (case.app.clone(), version.clone(), life);
            let lets_go = self.webhooks.lets_go(&question);
            if self.webhooks.is_due(&question) {
                wished.borrow_mut().push(question);
            }
            lets_go
        };
        let policy = &case.settled.policy;
        let world = ClusterWorld {
            app: case.app,
            found: case.found,
            written: &written,
            policy,
            checks: case.settled.health_checked.then_some(&*self.links.data_plane),
            fleet,
            now,
            released: &released,
        };
        let decision = case.decide(&written, &world);
        if let Some(webhook) = &policy.webhook {
            let questions = wished.into_inner().into_iter();
            self.questions.extend(questions.map(|question| (webhook.clone(), question)));
        }
        let acts = due(&decision.record, case.found, policy);
        let canary = canary(case.settled, resource, &decision);
        let held = self.held(case, fleet, resource, &decision, &acts, canary.is_some());
        let parts = Parts {
            app: case.app,
            found: case.found,
            resource,
            settled: case.settled,
            decision: &decision,
            acts: &acts,
            canary,
            held,
            accepted: case.accepted(resource),
            now: case.now,
        };
        (parts.status(), decision)
    }

    /// What a status is to say of the app as a whole.
    fn held(
        &mut self,
        case: &Case<'_>,
        fleet: &Fleet,
        resource: &VersionedApp,
        decision: &Decision,
        acts: &[Act],
        has_canary: bool,
    ) -> Vec<Held> {
        let memo = &mut self.memo;
        let failed = memo.failing(acts);
        let unreadable = resource.status.iter().flat_map(|status| status.unreadable.iter().cloned());
        let repaired = memo.repaired(unreadable.chain(decision.repaired.iter().cloned()).collect());
        let awaited = awaited(case, fleet, &decision.record, has_canary, Instant::now());
        let causes = Causes {
            app: case.app,
            record: &decision.record,
            settled: case.settled,
            has_canary,
            problems: case.problems,
            figures: &decision.figures,
            repaired,
            failed: &failed,
            awaited: &awaited,
            unanswered: &self.webhooks.unanswered(case.app, &decision.record),
        };
        causes.held()
    }

    /// Writes a status over the one that it was decided on.
    async fn write(
        &mut self,
        case: &Case<'_>,
        watched: Option<&Arc<VersionedApp>>,
        resource: &VersionedApp,
        wanted: VersionedAppStatus,
        decision: &Decision,
    ) -> Written {
        if !self.links.leads() {
            return Written::Failed;
        }
        let api = self.api(case.app);
        let mut new = resource.clone();
        new.status = Some(wanted);
        let sent =
            timeout(self.links.patience, api.replace_status(case.app.name(), &PostParams::default(), &new))
                .await;
        let memo = &mut self.memo;
        match sent {
            Ok(Ok(written)) => {
                self.links.troubles.over(&Part::Status(case.app.clone()));
                memo.wrote();
                memo.overlay(watched, written.clone());
                self.tell(case, resource, decision);
                Written::Done(Arc::new(written))
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Written::Conflict,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                memo.forget_overlay();
                Written::Failed
            }
            Ok(Err(error)) => {
                let why = why(&error);
                tracing::warn!(app = %case.app, why, "the status can't be written");
                self.links.troubles.met(
                    Part::Status(case.app.clone()),
                    format!("the status of VersionedApp {} can't be written: {why}", case.app),
                );
                memo.unanswered(&decision.made);
                memo.write_failed(why);
                Written::Failed
            }
            Err(_) => {
                let why = "the API does not answer";
                tracing::warn!(app = %case.app, why, "whether the status was written is not known");
                self.links.troubles.met(
                    Part::Status(case.app.clone()),
                    format!("the status of VersionedApp {} can't be written: {why}", case.app),
                );
                memo.unanswered(&decision.made);
                memo.write_failed(why.to_owned());
                Written::Failed
            }
        }
    }

    fn tell_of(&self, case: &Case<'_>, resource: &VersionedApp, transition: &Transition) {
        let uid = resource.metadata.uid.as_deref().unwrap_or_default();
        log(case.app, transition);
        self.links.observer.transitioned(case.app, transition);
        self.links.events.transition(object_of(case.app, &transition.version, case.found, uid), transition);
    }

    /// Says what was written, once it is.
    fn tell(&self, case: &Case<'_>, before: &VersionedApp, decision: &Decision) {
        let uid = before.metadata.uid.as_deref().unwrap_or_default();
        for transition in &decision.made {
            self.tell_of(case, before, transition);
        }
        let record = before.record();
        let was_stalled = |id: &VersionId| record.version(id).is_some_and(|version| version.stalled);
        for version in decision.record.versions.iter().filter(|v| v.stalled && !was_stalled(&v.id)) {
            let object = object_of(case.app, &version.id, case.found, uid);
            let why = unready::why(case.app, version, case.problems, &decision.figures);
            let note = format!("version {} is not ready: {why}", version.id);
            self.links.events.warn(object, "Stalled", &note);
        }
        for version in &decision.changed {
            let object = object_of(case.app, version, case.found, uid);
            let note = format!(
                "the pod template changed under version {version}: its visitors may be broken; give every build an \
                 id of its own"
            );
            tracing::warn!(app = %case.app, %version, "the pod template changed under the same version");
            self.links.observer.template_changed(case.app);
            self.links.events.warn(object, "TemplateChanged", &note);
        }
    }

    /// Does what is due to workloads, by the states as they are written.
    async fn act(&mut self, case: &Case<'_>, written: &AppRecord) {
        if case.settled.policy.mode != Mode::Manage {
            return;
        }
        for act in due(written, case.found, &case.settled.policy) {
            let memo = &mut self.memo;
            if !memo.may_act(&act) {
                continue;
            }
            if !self.links.leads() {
                return;
            }
            let done = perform(self.links, case.app, &act).await;
            let memo = &mut self.memo;
            match done {
                Ok(outcome) => {
                    memo.acted(&act);
                    self.links.troubles.over(&Part::Workload(case.app.clone()));
                    if outcome == Outcome::Done {
                        tracing::info!(app = %case.app, version = %act.version, act = ?act.kind, "acted");
                    }
                }
                Err(error) => {
                    let what = format!("Deployment {}: {:?}: {error}", act.deployment, act.kind);
                    tracing::warn!(app = %case.app, version = %act.version, what, "an act failed");
                    self.links
                        .troubles
                        .met(Part::Workload(case.app.clone()), format!("{}: {what}", case.app));
                    if memo.act_failed(&act, what.clone()) {
                        self.links.events.warn(of_deployment(case.app, &act), "ActionFailed", &what);
                    }
                }
            }
        }
    }

    /// Makes the resource of an app that has none.
    async fn create(&mut self, app: &AppId) {
        let resource = VersionedApp {
            metadata: ObjectMeta { name: Some(app.name().to_owned()), ..ObjectMeta::default() },
            spec: VersionedAppSpec::default(),
            status: None,
        };
        let made =
            timeout(self.links.patience, self.api(app).create(&PostParams::default(), &resource)).await;
        let memo = &mut self.memo;
        match made {
            Ok(Ok(made)) => {
                self.links.troubles.over(&Part::Status(app.clone()));
                memo.overlay(None, made);
            }
            // Somebody else made it: the watch will show it.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            Ok(Err(error)) if is_ending(&error) => memo.write_failed(why(&error)),
            Ok(Err(error)) => {
                let why = why(&error);
                tracing::warn!(%app, why, "its VersionedApp can't be made");
                self.links
                    .troubles
                    .met(Part::Status(app.clone()), format!("VersionedApp {app} can't be made: {why}"));
                memo.write_failed(why);
            }
            Err(_) => memo.write_failed("the API does not answer".to_owned()),
        }
    }

    fn api(&self, app: &AppId) -> Api<VersionedApp> {
        Api::namespaced(self.links.client.clone(), app.namespace())
    }
}

/// Whether something of an app is there to stay. Where all is about to go, its namespace may be, too.
fn stays(found: &Arc<FoundApp>) -> bool {
    found.versions.iter().any(|version| !version.workload.deleting)
}

/// Logs a transition.
pub(super) fn log(app: &AppId, transition: &Transition) {
    tracing::info!(
        %app, version = %transition.version, from = transition.from.map(VersionState::as_str),
        to = transition.to.as_str(), reason = transition.reason.as_str(), actor = transition.actor,
        "version changed its state",
    );
}

fn of_deployment(app: &AppId, act: &Act) -> k8s_openapi::api::core::v1::ObjectReference {
    reference("Deployment", app.namespace(), &act.deployment, &act.uid)
}

/// The labels of the pods of a Deployment, if it is there to stay.
fn labels(deployment: &Deployment) -> Option<&BTreeMap<String, String>> {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    template?.labels.as_ref().filter(|_| deployment.metadata.deletion_timestamp.is_none())
}

/// Replicas that pending and expiring versions, and a new canary, have been waiting for.
fn awaited(
    case: &Case<'_>,
    fleet: &Fleet,
    record: &AppRecord,
    has_canary: bool,
    now: Instant,
) -> Vec<String> {
    let waits = |version: &&VersionRecord| {
        let waited = case.now.duration_since(version.since).unsigned_abs();
        let waits = match version.state {
            VersionState::Pending => true,
            VersionState::Expiring => !version.workload.released,
            _ => version.is_canary() && !has_canary,
        };
        waits && waited >= SAY_WHY_AFTER
    };
    let missing = |version: &VersionRecord| {
        let missing = fleet.missing(case.app, &version.id, Life::of(version), now);
        let text = format!("version {} waits for the report of {}", version.id, missing.join(", "));
        (!missing.is_empty()).then_some(text)
    };
    record.versions.iter().filter(waits).filter_map(missing).collect()
}

/// What an app gets of which nothing is left but its resource.
fn gone() -> Settled {
    Settled {
        hosts: Vec::new(),
        path: "/".to_owned(),
        policy: Policy { cleanup: Cleanup::None, mode: Mode::Observe, ..Policy::default() },
        active: None,
        canary: None,
        health_checked: false,
    }
}
