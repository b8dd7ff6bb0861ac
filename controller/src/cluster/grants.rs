//! Which app gets which hosts: what each claims, within what its namespace may claim, the older
//! before the younger, and those of the configuration before all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::claim::{Claim, Settings, Settled};
use super::found::{FoundApp, Problem, ProblemReason};
use super::resource::{VersionedApp, VersionedAppSpec};
use crate::AppId;

/// What an app gets in the routing table.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// What it asks for, as the configuration last accepted it.
    pub claim: Arc<Claim>,
    /// Those of its hosts that it may have; empty stands for every host that no other app names.
    pub hosts: Vec<String>,
}

/// The outcome for all apps.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    /// What apps get; those that get no host at all are missing.
    pub(crate) granted: HashMap<AppId, Arc<Grant>>,
    pub(crate) settled: HashMap<AppId, Arc<Settled>>,
    pub(crate) problems: Vec<Problem>,
}

/// What was settled before, so that only what changed is asked about again, and an app that asks for
/// what can't be keeps what it had.
#[derive(Default)]
pub(crate) struct Settlements {
    by_app: HashMap<AppId, Settlement>,
}

struct Settlement {
    /// What was asked last.
    asked: Arc<Claim>,
    /// What was last accepted, and what came of it.
    good: Option<(Arc<Claim>, Arc<Settled>)>,
    errors: Vec<String>,
}

/// A claim on its way to a grant.
struct Applicant<'a> {
    app: &'a FoundApp,
    resource: Option<&'a VersionedApp>,
    since: Timestamp,
    claim: Arc<Claim>,
    settled: Arc<Settled>,
}

type Route = (Option<String>, String);

impl Settlements {
    /// Remembers what an app had before a restart.
    pub(crate) fn recall(&mut self, claim: &Arc<Claim>, settings: &dyn Settings) {
        self.settle(Arc::clone(claim), settings);
    }

    /// The configuration is another: everything is asked again.
    pub(crate) fn expire(&mut self, settings: &dyn Settings) {
        for settlement in self.by_app.values_mut() {
            settlement.ask(settings);
        }
    }

    /// Decides for all apps.
    pub(crate) fn decide(
        &mut self,
        apps: &[Arc<FoundApp>],
        resource: &dyn Fn(&AppId) -> Option<Arc<VersionedApp>>,
        settings: &dyn Settings,
    ) -> Grants {
        let mut grants = Grants::default();
        let resources: Vec<_> = apps.iter().map(|app| resource(&app.id)).collect();
        let mut applicants = Vec::new();
        for (app, resource) in apps.iter().zip(&resources) {
            let resource = resource.as_deref();
            if settings.is_fixed(&app.id) {
                let message = "the configuration names the versions of this app itself: those of the cluster are not used";
                grants.problems.push(problem(app, resource, ProblemReason::RouteConflict, message));
                continue;
            }
            let Some(claim) = self.claim(app) else { continue };
            let settlement = self.settle(claim, settings);
            if let Some(accepted) =
                resource.and_then(|resource| resource.status.as_ref()?.accepted.as_deref())
            {
                settlement.fall_back(accepted, settings);
            }
            for error in &settlement.errors {
                grants.problems.push(problem(app, resource, ProblemReason::InvalidSettings, error));
            }
            if let Some((claim, settled)) = settlement.good.clone() {
                let since = since(Some(app), resource).unwrap_or(Timestamp::MAX);
                applicants.push(Applicant { app, resource, since, claim, settled });
            } else {
                let message =
                    "it is not routed here, for this replica knows of no settings that could ever be used";
                grants.problems.push(problem(app, resource, ProblemReason::NotRouted, message));
            }
        }
        let there: HashSet<&AppId> = apps.iter().map(|app| &app.id).collect();
        self.by_app.retain(|id, _| there.contains(id));
        applicants.sort_by(|one, other| (one.since, &one.app.id).cmp(&(other.since, &other.app.id)));
        let mut taken = HashMap::new();
        for applicant in &applicants {
            grants.settled.insert(applicant.app.id.clone(), Arc::clone(&applicant.settled));
            let hosts = grants.hosts(applicant, settings, &mut taken);
            if !hosts.is_empty() {
                let hosts = hosts.into_iter().flatten().collect();
                let grant = Arc::new(Grant { claim: Arc::clone(&applicant.claim), hosts });
                grants.granted.insert(applicant.app.id.clone(), grant);
            }
        }
        grants
    }

    /// What an app asks for. Labels went with its Deployments, so an app that has none left keeps
    /// what it asked for.
    fn claim(&self, app: &FoundApp) -> Option<Arc<Claim>> {
        if !app.versions.is_empty() {
            return Some(Arc::clone(&app.claim));
        }
        match self.by_app.get(&app.id) {
            Some(known) => {
                let spec = app.claim.spec.clone();
                Some(Arc::new(Claim { spec, ..Claim::clone(&known.asked) }))
            }
            None => {
                let names_hosts = app.claim.spec.as_ref().is_some_and(|spec| spec.hosts.is_some());
                names_hosts.then(|| Arc::clone(&app.claim))
            }
        }
    }

    fn settle(&mut self, claim: Arc<Claim>, settings: &dyn Settings) -> &mut Settlement {
        let settlement = self.by_app.entry(claim.id.clone()).or_insert_with(|| {
            let mut new = Settlement { asked: Arc::clone(&claim), good: None, errors: Vec::new() };
            new.ask(settings);
            new
        });
        if settlement.asked != claim {
            settlement.asked = claim;
            settlement.ask(settings);
        }
        settlement
    }
}

impl Settlement {
    fn ask(&mut self, settings: &dyn Settings) {
        match settings.settle(&self.asked) {
            Ok(settled) => {
                self.good = Some((Arc::clone(&self.asked), Arc::new(settled)));
                self.errors.clear();
            }
            Err(errors) => self.errors = errors,
        }
    }

    /// Where nothing is known that was good, what the leader knew counts.
    fn fall_back(&mut self, accepted: &VersionedAppSpec, settings: &dyn Settings) {
        if self.good.is_some() {
            return;
        }
        let claim = Arc::new(Claim { spec: Some(accepted.clone()), ..Claim::clone(&self.asked) });
        if let Ok(settled) = settings.settle(&claim) {
            self.good = Some((claim, Arc::new(settled)));
        }
    }
}

impl Grants {
    /// The hosts that an applicant gets.
    fn hosts(
        &mut self,
        applicant: &Applicant<'_>,
        settings: &dyn Settings,
        taken: &mut HashMap<Route, AppId>,
    ) -> Vec<Option<String>> {
        let Applicant { app, resource, settled, .. } = applicant;
        let claimed: Vec<Option<String>> = match settled.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().cloned().map(Some).collect(),
        };
        let mut hosts = Vec::new();
        for host in claimed {
            let shown = host.as_deref().unwrap_or("every host");
            if !settings.may_claim(app.id.namespace(), host.as_deref()) {
                let message = format!(
                    "namespace {} may not claim {shown} (kubernetes.hosts of the configuration)",
                    app.id.namespace()
                );
                self.problems.push(problem(app, *resource, ProblemReason::HostNotAllowed, &message));
                continue;
            }
            let route = (host.clone(), settled.path.clone());
            let configured = settings.holder(host.as_deref(), &settled.path);
            let configured = configured.map(|holder| (holder, "whose entry in the configuration wins"));
            let holder = configured.or_else(|| Some((taken.get(&route)?.clone(), "which claimed it first")));
            if let Some((holder, why)) = holder {
                let message = format!(
                    "{shown} with path {} belongs to {holder}, {why}; give one of them another host or path",
                    settled.path
                );
                self.problems.push(problem(app, *resource, ProblemReason::RouteConflict, &message));
                continue;
            }
            taken.insert(route, app.id.clone());
            hosts.push(host);
        }
        hosts
    }
}

/// Since when an app is there, as far as its objects show and its status remembers: its first Deployment may be gone.
pub(crate) fn since(app: Option<&FoundApp>, resource: Option<&VersionedApp>) -> Option<Timestamp> {
    let deployments = app.into_iter().flat_map(|app| &app.versions).map(|version| version.workload.created);
    let made = resource.and_then(|resource| resource.metadata.creation_timestamp.as_ref());
    let made = made.and_then(|made| Timestamp::from_millisecond(made.0.as_millisecond()).ok());
    let written = resource.and_then(|resource| resource.status.as_ref()?.since);
    deployments.chain(made).chain(written).min()
}

/// Something that is wrong with what an app asks for, told of its resource, else of its newest
/// Deployment.
fn problem(app: &FoundApp, resource: Option<&VersionedApp>, reason: ProblemReason, message: &str) -> Problem {
    let newest = app.versions.last().map(|version| &version.workload);
    let (kind, name, uid) = match (resource, newest) {
        (None, Some(workload)) => ("Deployment", workload.deployment.clone(), workload.uid.clone()),
        (resource, _) => {
            let uid = resource.and_then(|resource| resource.metadata.uid.clone());
            ("VersionedApp", app.id.name().to_owned(), uid.unwrap_or_default())
        }
    };
    Problem { kind, namespace: app.id.namespace().to_owned(), name, uid, reason, message: message.to_owned() }
}

#[cfg(test)]
mod tests;
