//! Apps of the cluster: what the controller asks of the configuration about them, and what people
//! and Prometheus are told.

use std::sync::{Arc, Weak};

use lockstep_controller::AppId;
use lockstep_controller::cluster::claim::{Claim, Settings, Settled};
use lockstep_controller::cluster::follow::STALE;
use lockstep_controller::cluster::found::Problem;
use lockstep_controller::cluster::lead::LeadHandle;
use lockstep_controller::cluster::{Cluster, Options, Scopes};
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use crate::config::model::Kubernetes;
use crate::config::value::HostPattern;
use crate::metrics::Maker;
use crate::plane::Plane;
use crate::problems::{Problems, Source};

/// The configuration of the moment, as the controller sees it.
pub(crate) struct ClusterSettings(Weak<Plane>);

impl ClusterSettings {
    /// The settings of a plane's configuration.
    #[must_use]
    pub(crate) fn of(plane: &Arc<Plane>) -> Self {
        Self(Arc::downgrade(plane))
    }
}

impl Settings for ClusterSettings {
    fn settle(&self, claim: &Arc<Claim>) -> Result<Settled, Vec<String>> {
        let plane = self.0.upgrade().ok_or_else(|| vec!["shutting down".to_owned()])?;
        let app = plane.resolve(claim)?;
        Ok(Settled {
            hosts: app.hosts.iter().map(ToString::to_string).collect(),
            path: app.path.to_string(),
            policy: app.policy.clone(),
            active: app.active.clone(),
            canary: app.canary.clone(),
            health_checked: app.health.is_some(),
        })
    }

    fn may_claim(&self, namespace: &str, host: Option<&str>) -> bool {
        let Some(plane) = self.0.upgrade() else { return false };
        let config = plane.config();
        let Some(allowed) = config.kubernetes.hosts.get(namespace) else { return true };
        host.is_some_and(|host| allowed.iter().any(|pattern| covers(pattern, host)))
    }

    fn holder(&self, host: Option<&str>, path: &str) -> Option<AppId> {
        let config = self.0.upgrade()?.config();
        let has = |hosts: &[HostPattern]| match host {
            Some(host) => hosts.iter().any(|pattern| pattern.as_str() == host),
            None => hosts.is_empty(),
        };
        let holder = config.apps.iter().find(|app| app.path.as_str() == path && has(&app.hosts));
        holder.map(|app| app.id.clone())
    }

    fn is_fixed(&self, app: &AppId) -> bool {
        self.0.upgrade().is_some_and(|plane| plane.config().apps.iter().any(|fixed| fixed.id == *app))
    }
}

/// What is watched, by the configuration.
pub(crate) fn scopes(kubernetes: &Kubernetes) -> Scopes {
    Scopes {
        namespaces: kubernetes.namespaces.clone(),
        options: Options {
            app: kubernetes.app_label.clone(),
            version: kubernetes.version_label.clone(),
            mint_ids: kubernetes.mint_ids,
            adopt: kubernetes.adopt,
        },
    }
}

/// Tells what is wrong: with the way to the cluster, with this replica's part in leading, and with objects.
pub(crate) fn report(cluster: &Cluster, lead: Option<&LeadHandle>, problems: &Problems) {
    let mut failures = cluster.health().failures.clone();
    let (wants, undone) = lead.map(LeadHandle::troubles).unwrap_or_default();
    failures.extend(wants);
    let age = cluster.contact().age();
    if age > STALE {
        let age = age.as_secs();
        failures
            .push(format!("no contact with the Kubernetes API for {age} s; what was last known is routed"));
    }
    problems.report(Source::Cluster, failures);
    let state = cluster.states().borrow().clone();
    let found = state.found.problems.iter().map(|problem| {
        let Problem { kind, namespace, name, reason, message, .. } = problem;
        format!("{}: {kind} {namespace}/{name}: {message}", reason.as_str())
    });
    problems.report(Source::Objects, found.chain(undone));
}

/// Brings the gauges up to date.
pub(crate) fn refresh_gauges(cluster: &Cluster, metrics: &ClusterMetrics) {
    let signed = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (health, age) = (cluster.health(), cluster.contact().age());
    metrics.connected.set(i64::from(health.complete && age <= STALE));
    metrics.contact_age.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
    for (kind, count) in &health.objects {
        metrics.objects.with_label_values(&[kind.as_str()]).set(signed(*count));
    }
    for (kind, restarts) in &health.restarts {
        let counter = metrics.restarts.with_label_values(&[kind.as_str()]);
        counter.inc_by(restarts.saturating_sub(counter.get()));
    }
    metrics.problems.reset();
    for problem in &cluster.states().borrow().found.problems {
        metrics.problems.with_label_values(&[problem.reason.as_str()]).inc();
    }
}

/// What is measured of the way to the cluster.
#[derive(Debug)]
pub struct ClusterMetrics {
    connected: IntGauge,
    contact_age: IntGauge,
    objects: IntGaugeVec,
    problems: IntGaugeVec,
    restarts: IntCounterVec,
    /// Pod templates that changed under the id of a version, by app.
    pub(crate) template_changes: IntCounterVec,
}

impl ClusterMetrics {
    pub(crate) fn new(make: &Maker<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            connected: make.gauge(
                "cluster_connected",
                "1 while everything in Kubernetes was seen and its API was heard within 30 s.",
            )?,
            contact_age: make
                .gauge("cluster_contact_age_seconds", "Seconds since the Kubernetes API was last heard.")?,
            objects: make.gauges("cluster_objects", "Objects of Kubernetes that are kept.", &["kind"])?,
            problems: make.gauges(
                "cluster_problems",
                "Objects of Kubernetes that can't be used.",
                &["reason"],
            )?,
            template_changes: make.counters(
                "version_template_changes_total",
                "Pod templates that changed under the id of a version.",
                &["app"],
            )?,
            restarts: make.counters(
                "cluster_watch_restarts_total",
                "Watches of Kubernetes that had to begin anew.",
                &["kind"],
            )?,
        })
    }
}

/// Whether a pattern allows a host, or a pattern of hosts below it.
fn covers(pattern: &HostPattern, host: &str) -> bool {
    match host.strip_prefix("*.") {
        Some(below) => {
            pattern.as_str() == host || (pattern.as_str().starts_with("*.") && pattern.matches(below))
        }
        None => pattern.matches(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_allow_what_is_below_them() {
        let cases = [
            ("shop.example", "shop.example", true),
            ("shop.example", "*.shop.example", false),
            ("*.example", "shop.example", true),
            ("*.example", "*.shop.example", true),
            ("*.example", "*.example", true),
            ("*.example", "example", false),
            ("*.shop.example", "*.example", false),
        ];
        for (pattern, host, expected) in cases {
            assert_eq!(covers(&pattern.parse().unwrap(), host), expected, "{pattern} {host}");
        }
    }
}
