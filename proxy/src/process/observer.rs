//! Turns what the controller reports into metrics and problems.

use std::sync::Arc;

use lockstep_controller::AppId;
use lockstep_controller::controller::Observer;
use lockstep_controller::record::Transition;
use lockstep_controller::store::StoreError;

use crate::audit::Audit;
use crate::metrics::Metrics;
use crate::problems::{Problems, Source};

/// Watches the controller.
pub(super) struct Watcher {
    pub(super) metrics: Arc<Metrics>,
    pub(super) problems: Arc<Problems>,
    pub(super) audit: Option<Audit>,
}

impl Observer for Watcher {
    fn transitioned(&self, app: &AppId, transition: &Transition) {
        self.metrics.transitions.with_label_values(&[app.to_string().as_str(), transition.to.as_str()]).inc();
        if let Some(audit) = &self.audit {
            audit.transitioned(app, transition);
        }
    }

    fn template_changed(&self, app: &AppId) {
        self.metrics.cluster.template_changes.with_label_values(&[app.to_string().as_str()]).inc();
    }

    fn not_kept(&self, error: &StoreError) {
        self.problems.report(Source::State, [format!("version states can't be kept: {error}")]);
    }

    fn kept(&self) {
        self.problems.report(Source::State, []);
    }
}
