//! All objects that were seen, by namespace, and how each watch fares. Whoever changes something
//! learns which namespaces have to be looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::discovery::Objects;
use super::discovery::objects::{Kept, Key};
use super::watch::{Change, Failure, Kind, News, Report, Scope, Update};

/// How long a refusal must last to be believed. An API server that has just started refuses for a moment what it will
/// allow, and knows no resources but its own.
const BELIEVED: Duration = Duration::from_secs(5);
/// The same where something is known that it would be a pity to lose.
const KNOWN_BELIEVED: Duration = Duration::from_secs(30);

/// What was seen of the cluster.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) namespaces: BTreeMap<String, Objects>,
    watches: BTreeMap<Scope, Watch>,
    dirty: BTreeSet<String>,
    /// Whether there is a picture from before.
    remembers: bool,
}

/// How a watch fares.
#[derive(Default)]
struct Watch {
    /// Whether all was listed once.
    listed: bool,
    failure: Option<Failure>,
    /// Since when it does not work.
    failing: Option<Instant>,
    /// Since when it has been refused all the time.
    refused: Option<Instant>,
    /// Whether nothing is expected of it any more, until it works.
    given_up: bool,
    /// How often it had to begin anew.
    restarts: u64,
}

type Shelf<K> = BTreeMap<String, Arc<K>>;

impl World {
    /// A world in which these watches have seen nothing yet; `remembers` says whether there is a picture from before.
    pub(crate) fn new(scopes: impl IntoIterator<Item = Scope>, remembers: bool) -> Self {
        Self {
            watches: scopes.into_iter().map(|scope| (scope, Watch::default())).collect(),
            remembers,
            ..Self::default()
        }
    }

    /// Takes a report in.
    pub(crate) fn take(&mut self, report: Report) {
        let Report { scope, news } = report;
        let sight = self.sees(Kind::Pods);
        let watch = self.watches.entry(scope.clone()).or_default();
        match news {
            News::Change(change) => {
                watch.restarts += u64::from(watch.listed && change.is_complete());
                watch.listed |= change.is_complete();
                watch.mend();
                self.change(scope.namespace.as_deref(), change);
            }
            News::Mended => watch.mend(),
            News::Failed(failure) => {
                watch.restarts += 1;
                watch.refused = failure.is_refusal().then(|| watch.refused.unwrap_or_else(Instant::now));
                watch.failing.get_or_insert_with(Instant::now);
                watch.failure = Some(failure);
            }
        }
        self.notice(sight);
    }

    /// Gives up what has been refused for long enough. States that were seen once are not given up because they may
    /// not be seen any more, but only when the cluster knows none.
    pub(crate) fn pass(&mut self, now: Instant) {
        let sight = self.sees(Kind::Pods);
        for watch in self.watches.values_mut() {
            let believed = if watch.listed || self.remembers { KNOWN_BELIEVED } else { BELIEVED };
            let lasts = watch.refused.is_some_and(|since| now.duration_since(since) >= believed);
            let hidden = watch.listed && watch.is_hidden();
            watch.given_up |= lasts && !hidden;
        }
        self.notice(sight);
    }

    /// Whether pods are seen matters to everything that was found.
    fn notice(&mut self, sight: bool) {
        if sight != self.sees(Kind::Pods) {
            self.dirty.extend(self.namespaces.keys().cloned());
        }
    }

    fn change(&mut self, within: Option<&str>, change: Change) {
        match change {
            Change::Deployments(update) => self.update(within, update, |all| &mut all.deployments),
            Change::Services(update) => self.update(within, update, |all| &mut all.services),
            Change::Slices(update) => self.update(within, update, |all| &mut all.slices),
            Change::Pods(update) => self.update(within, update, |all| &mut all.pods),
            Change::Apps(update) => self.update(within, update, |all| &mut all.resources),
        }
    }

    fn update<K: Kept>(
        &mut self,
        within: Option<&str>,
        update: Update<K>,
        shelf: fn(&mut Objects) -> &mut Shelf<K>,
    ) {
        match update {
            Update::One(key, object) => self.put(key, *object, shelf),
            Update::Gone((namespace, name)) => {
                let known = self.namespaces.get_mut(&namespace);
                if known.is_some_and(|known| shelf(known).remove(&name).is_some()) {
                    self.dirty.insert(namespace);
                }
            }
            Update::All(objects) => {
                let seen: BTreeSet<Key> = objects.iter().map(|(key, _)| key.clone()).collect();
                for (key, object) in objects {
                    self.put(key, object, shelf);
                }
                for (namespace, known) in &mut self.namespaces {
                    if within.is_some_and(|within| within != namespace) {
                        continue;
                    }
                    let before = shelf(known).len();
                    shelf(known).retain(|name, _| seen.contains(&(namespace.clone(), name.clone())));
                    if shelf(known).len() != before {
                        self.dirty.insert(namespace.clone());
                    }
                }
            }
        }
    }

    fn put<K: Kept>(&mut self, (namespace, name): Key, object: K, shelf: fn(&mut Objects) -> &mut Shelf<K>) {
        let shelf = shelf(self.namespaces.entry(namespace.clone()).or_default());
        if shelf.get(&name).is_none_or(|known| **known != object) {
            shelf.insert(name, Arc::new(object));
            self.dirty.insert(namespace);
        }
    }

    /// The namespaces that have to be looked at again.
    pub(crate) fn take_dirty(&mut self) -> BTreeSet<String> {
        let dirty = std::mem::take(&mut self.dirty);
        let pods_known = self.sees(Kind::Pods);
        for namespace in &dirty {
            if let Some(objects) = self.namespaces.get_mut(namespace) {
                objects.pods_known = pods_known;
                if objects.is_empty() {
                    self.namespaces.remove(namespace);
                }
            }
        }
        dirty
    }

    /// Whether all was seen that can be. What may not be seen, or is of an unknown kind, is not
    /// waited for; without Deployments there is nothing to say.
    pub(crate) fn is_complete(&self) -> bool {
        self.watches
            .iter()
            .all(|(scope, watch)| watch.listed || (watch.given_up && scope.kind != Kind::Deployments))
    }

    /// Whether a watch does not work at the moment that did, or is expected to. Where states may not be seen they
    /// are still kept: whoever can't see them decides nothing.
    pub(crate) fn is_behind(&self) -> bool {
        let is_behind = |(scope, watch): (&Scope, &Watch)| {
            watch.failure.is_some()
                && (!watch.given_up || scope.kind == Kind::VersionedApps && watch.is_hidden())
        };
        self.watches.iter().any(is_behind)
    }

    /// How long what is seen may have been behind what there is: since the first of the watches that do not work
    /// ended.
    pub(crate) fn behind_for(&self, now: Instant) -> Duration {
        let failing = self.watches.values().filter(|watch| !watch.given_up).filter_map(|watch| watch.failing);
        failing.map(|since| now.duration_since(since)).max().unwrap_or_default()
    }

    /// Whether objects of a kind are seen, or at least were.
    pub(crate) fn sees(&self, kind: Kind) -> bool {
        let mut watches = self.watches.iter().filter(|(scope, _)| scope.kind == kind);
        watches.all(|(_, watch)| watch.listed || !watch.given_up)
    }

    /// Whether states are kept in the cluster. They are, where only this replica may not see them: labels would
    /// decide otherwise than the replicas that may.
    pub(crate) fn is_stored(&self) -> bool {
        let mut watches = self.watches.iter().filter(|(scope, _)| scope.kind == Kind::VersionedApps);
        watches.all(|(_, watch)| if watch.given_up { watch.is_hidden() } else { watch.listed })
    }

    /// What keeps watches from working, and what to do.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failing = |(scope, watch): (&Scope, &Watch)| Some(describe(scope, watch.failure.as_ref()?));
        self.watches.iter().filter_map(failing).collect()
    }

    /// How often watches of a kind had to begin anew.
    pub(crate) fn restarts(&self, kind: Kind) -> u64 {
        let watches = self.watches.iter().filter(|(scope, _)| scope.kind == kind);
        watches.map(|(_, watch)| watch.restarts).sum()
    }

    /// How many objects of a kind are kept.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        let count = |namespace: &Objects| match kind {
            Kind::Deployments => namespace.deployments.len(),
            Kind::Services => namespace.services.len(),
            Kind::EndpointSlices => namespace.slices.len(),
            Kind::Pods => namespace.pods.len(),
            Kind::VersionedApps => namespace.resources.len(),
        };
        self.namespaces.values().map(count).sum()
    }
}

impl Watch {
    /// Whether what it is to watch is there, but may not be seen.
    fn is_hidden(&self) -> bool {
        matches!(self.failure, Some(Failure::Forbidden(_)))
    }

    fn mend(&mut self) {
        self.failure = None;
        self.failing = None;
        self.refused = None;
        self.given_up = false;
    }
}

fn describe(scope: &Scope, failure: &Failure) -> String {
    let kind = scope.kind.as_str();
    let place = scope
        .namespace
        .as_ref()
        .map_or_else(|| "in all namespaces".to_owned(), |namespace| format!("in namespace {namespace}"));
    match failure {
        Failure::Unknown if scope.kind == Kind::VersionedApps => {
            "the cluster does not know VersionedApps: kubectl apply -f conf/k8s/base/crd.yaml; until then \
             versions are routed by their labels, and none expires"
                .to_owned()
        }
        Failure::Unknown => format!("the cluster does not know {kind}"),
        Failure::Forbidden(message) => {
            format!("may not list and watch {kind} {place}: bind the roles of conf/k8s/base ({message})")
        }
        Failure::Other(message) => format!("can't watch {kind} {place}: {message}"),
    }
}

impl Change {
    fn is_complete(&self) -> bool {
        matches!(
            self,
            Self::Deployments(Update::All(_))
                | Self::Services(Update::All(_))
                | Self::Slices(Update::All(_))
                | Self::Pods(Update::All(_))
                | Self::Apps(Update::All(_))
        )
    }
}

#[cfg(test)]
mod tests;
