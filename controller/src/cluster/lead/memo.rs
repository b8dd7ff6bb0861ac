//! What the leader remembers of an app between steps. None of it decides what is done: a new leader
//! begins without.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::acts::Act;
use crate::VersionState;
use crate::cluster::claim::Settled;
use crate::cluster::found::FoundApp;
use crate::cluster::resource::VersionedApp;
use crate::record::{AppRecord, Transition, VersionRecord};

/// An act that was done is not done again while the watch may not have shown its effect.
const EFFECT_SHOWS: Duration = Duration::from_secs(30);
/// The longest wait before something that failed is tried again.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Draining versions are looked at this often: their times are minutes.
const UNHURRIED: Duration = Duration::from_secs(5);
/// How long a status says that it was repaired.
const REPAIR_SHOWN: Duration = Duration::from_secs(600);

/// What is remembered of one app.
#[derive(Default)]
pub(super) struct Memo {
    seen: Option<Seen>,
    /// The resource as it was written, until the watch shows it.
    overlay: Option<Overlay>,
    written: Option<Instant>,
    stepped: Option<Instant>,
    pace: Pace,
    acts: HashMap<Act, Tried>,
    repaired: Option<(Instant, Vec<String>)>,
    write: Tried,
    /// Transitions that were written without an answer, so that nobody was told yet.
    untold: Vec<Transition>,
}

/// What the last step was decided on.
struct Seen {
    resource: Option<Arc<VersionedApp>>,
    found: Option<Arc<FoundApp>>,
    settled: Option<Arc<Settled>>,
}

struct Overlay {
    resource: Arc<VersionedApp>,
    /// What the watch shows until it has caught up.
    outdated: Vec<Option<String>>,
}

/// How soon an app is looked at again without a change.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Pace {
    #[default]
    Soon,
    Unhurried,
    Rest,
}

/// How often something failed, and when it may be tried again.
#[derive(Default)]
struct Tried {
    failures: u32,
    again: Option<Instant>,
    error: Option<String>,
}

impl Memo {
    /// The resource as it is known best: as it was written, while the watch shows an earlier one.
    pub(super) fn resource(&mut self, watched: Option<&Arc<VersionedApp>>) -> Option<Arc<VersionedApp>> {
        if let Some(overlay) = &self.overlay {
            let revision = watched.and_then(|watched| watched.metadata.resource_version.clone());
            if overlay.outdated.contains(&revision) {
                return Some(Arc::clone(&overlay.resource));
            }
            self.overlay = None;
        }
        watched.cloned()
    }

    /// A newer resource than the watch shows was written or read.
    pub(super) fn overlay(&mut self, watched: Option<&Arc<VersionedApp>>, resource: VersionedApp) {
        let shown = watched.and_then(|watched| watched.metadata.resource_version.clone());
        let mut outdated = self.overlay.take().map(|before| {
            let mut outdated = before.outdated;
            outdated.push(before.resource.metadata.resource_version.clone());
            outdated
        });
        let list = outdated.get_or_insert_default();
        if !list.contains(&shown) {
            list.push(shown);
        }
        list.retain(|revision| *revision != resource.metadata.resource_version);
        self.overlay = Some(Overlay { resource: Arc::new(resource), outdated: outdated.unwrap_or_default() });
    }

    /// What was believed to be written is not there.
    pub(super) fn forget_overlay(&mut self) {
        self.overlay = None;
    }

    /// Something changed that may concern the app.
    pub(super) fn look_again(&mut self) {
        self.seen = None;
    }

    /// Whether there is anything to decide.
    pub(super) fn is_due(
        &self,
        resource: Option<&Arc<VersionedApp>>,
        found: Option<&Arc<FoundApp>>,
        settled: Option<&Arc<Settled>>,
    ) -> bool {
        let Some(seen) = &self.seen else { return true };
        let changed = !same(seen.resource.as_ref(), resource)
            || !same(seen.found.as_ref(), found)
            || !same(seen.settled.as_ref(), settled);
        let waited = self.stepped.map_or(Duration::MAX, |stepped| stepped.elapsed());
        changed
            || match self.pace {
                Pace::Soon => true,
                Pace::Unhurried => waited >= UNHURRIED,
                Pace::Rest => false,
            }
    }

    /// A step was decided on these.
    pub(super) fn stepped(
        &mut self,
        resource: Option<Arc<VersionedApp>>,
        found: Option<Arc<FoundApp>>,
        settled: Option<Arc<Settled>>,
        record: &AppRecord,
        settles: bool,
    ) {
        let any = |states: &[VersionState]| record.versions.iter().any(|v| states.contains(&v.state));
        let told = resource.as_ref().and_then(|resource| resource.status.as_ref()?.canary.as_ref());
        let has_new_canary = told.is_none() && record.versions.iter().any(VersionRecord::is_canary);
        self.pace = if !settles || has_new_canary || any(&[VersionState::Pending, VersionState::Expiring]) {
            Pace::Soon
        } else if any(&[VersionState::Draining]) || record.active.is_none() || self.repaired.is_some() {
            Pace::Unhurried
        } else {
            Pace::Rest
        };
        self.seen = Some(Seen { resource, found, settled });
        self.stepped = Some(Instant::now());
    }

    /// How long ago the status was written.
    pub(super) fn written_ago(&self) -> Option<Duration> {
        self.written.map(|written| written.elapsed())
    }

    /// Whether these transitions were written is not known.
    pub(super) fn unanswered(&mut self, made: &[Transition]) {
        self.untold = made.to_vec();
    }

    /// Transitions that turn out to be written after all, and that nobody was told of.
    pub(super) fn take_untold(&mut self, record: &AppRecord) -> Vec<Transition> {
        self.untold.extract_if(.., |transition| record.history.contains(transition)).collect()
    }

    /// The status was written.
    pub(super) fn wrote(&mut self) {
        // Over what was there before: what is not in it was not written.
        self.untold.clear();
        self.written = Some(Instant::now());
        self.write = Tried::default();
    }

    /// The status could not be written.
    pub(super) fn write_failed(&mut self, error: String) {
        self.write.fail(error);
    }

    /// Whether the status may be written (again).
    pub(super) fn may_write(&self) -> bool {
        self.write.may_try()
    }

    /// Whether an act may be tried (again).
    pub(super) fn may_act(&self, act: &Act) -> bool {
        self.acts.get(act).is_none_or(Tried::may_try)
    }

    /// An act was done, as far as this replica can tell.
    pub(super) fn acted(&mut self, act: &Act) {
        let again = Some(Instant::now() + EFFECT_SHOWS);
        self.acts.insert(act.clone(), Tried { failures: 0, again, error: None });
    }

    /// An act failed. Says whether it is the first time.
    pub(super) fn act_failed(&mut self, act: &Act, error: String) -> bool {
        let tried = self.acts.entry(act.clone()).or_default();
        tried.fail(error);
        tried.failures == 1
    }

    /// Forgets acts that are not due any more; returns what fails of those that are.
    pub(super) fn failing(&mut self, due: &[Act]) -> Vec<String> {
        self.acts.retain(|act, tried| due.contains(act) || tried.again.is_some_and(|at| at > Instant::now()));
        let mut failing: Vec<_> = due.iter().filter_map(|act| self.acts.get(act)?.error.clone()).collect();
        failing.sort();
        failing.dedup();
        failing
    }

    /// Notes what was repaired; returns what was lately.
    pub(super) fn repaired(&mut self, repaired: Vec<String>) -> &[String] {
        if !repaired.is_empty() {
            self.repaired = Some((Instant::now(), repaired));
        }
        if self.repaired.as_ref().is_some_and(|(at, _)| at.elapsed() >= REPAIR_SHOWN) {
            self.repaired = None;
        }
        self.repaired.as_ref().map_or(&[], |(_, repaired)| repaired)
    }
}

impl Tried {
    fn may_try(&self) -> bool {
        self.again.is_none_or(|again| Instant::now() >= again)
    }

    fn fail(&mut self, error: String) {
        self.failures = self.failures.saturating_add(1);
        let wait = Duration::from_secs(1).saturating_mul(2_u32.saturating_pow(self.failures.min(10) - 1));
        self.again = Some(Instant::now() + wait.min(MAX_WAIT));
        self.error = Some(error);
    }
}

fn same<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
