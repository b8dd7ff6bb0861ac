//! Kubernetes Events: each transition of a version, on its Deployment, and each problem with an
//! object, on the object. They are for people to read; a cluster that does not take them holds
//! nothing up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use super::identity::Identity;
use super::trouble::{Part, Troubles, is_ending, why};
use crate::cluster::found::Problem;
use crate::record::Transition;
use crate::{AppId, VersionState};

/// Events that may wait; those beyond are left out, for a cluster keeps them for an hour anyway.
const QUEUE: usize = 4096;
/// A note that is longer is cut: the API takes 1 kB.
const MAX_NOTE: usize = 1000;
/// Notes that are told apart; beyond that, all are forgotten, and what is said again is an Event of its own.
const NOTES: usize = 1000;

/// Takes Events.
#[derive(Clone)]
pub(super) struct Events {
    queue: mpsc::Sender<(Event, ObjectReference)>,
    left_out: Arc<AtomicU64>,
}

/// Sends them to the cluster, one after the other.
pub(super) struct EventSender {
    client: Client,
    reporter: Reporter,
    /// One for each note: a recorder counts what has the same object and reason as one Event, and keeps the note of
    /// the first.
    recorders: HashMap<String, Recorder>,
    queue: mpsc::Receiver<(Event, ObjectReference)>,
    left_out: Arc<AtomicU64>,
    troubles: Troubles,
}

/// Events and whoever sends them.
pub(super) fn channel(client: Client, identity: &Identity, troubles: Troubles) -> (Events, EventSender) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let left_out = Arc::default();
    let reporter = Reporter { controller: "lockstep".to_owned(), instance: Some(identity.name.clone()) };
    let events = Events { queue: sender, left_out: Arc::clone(&left_out) };
    (events, EventSender { client, reporter, recorders: HashMap::new(), queue, left_out, troubles })
}

impl Events {
    /// A version changed its state.
    pub(super) fn transition(&self, object: ObjectReference, transition: &Transition) {
        let Transition { version, from, to, reason, actor, .. } = transition;
        let from = from.map_or_else(|| "new".to_owned(), |from| from.to_string());
        let note = format!("version {version}: {from} → {to} ({}, by {actor})", reason.as_str());
        self.send(EventType::Normal, reason_of(*to), &note, object);
    }

    /// Something is wrong.
    pub(super) fn warn(&self, object: ObjectReference, reason: &str, note: &str) {
        self.send(EventType::Warning, reason, note, object);
    }

    /// Tells of problems that are new.
    pub(super) fn problems(&self, before: &[Problem], now: &[Problem]) {
        let before: HashSet<&Problem> = before.iter().collect();
        for problem in now.iter().filter(|problem| !before.contains(problem)) {
            let object = reference(problem.kind, &problem.namespace, &problem.name, &problem.uid);
            self.warn(object, problem.reason.as_str(), &problem.message);
        }
    }

    fn send(&self, type_: EventType, reason: &str, note: &str, object: ObjectReference) {
        let note = note.chars().take(MAX_NOTE).collect();
        let action = "Versioning".to_owned();
        let event = Event { type_, reason: reason.to_owned(), note: Some(note), action, secondary: None };
        // Said once, and counted: there may be thousands.
        if self.queue.try_send((event, object)).is_err() && self.left_out.fetch_add(1, Ordering::Relaxed) == 0
        {
            tracing::warn!(reason, "Events are left out: too many are waiting");
        }
    }
}

impl EventSender {
    /// Sends until nobody can send any more, or `end` is done and none waits.
    pub(super) async fn run(mut self, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            let next = tokio::select! {
                biased;
                next = self.queue.recv() => next,
                () = &mut end => None,
            };
            let Some((event, object)) = next else { return };
            match self.recorder(&event).publish(&event, &object).await {
                Ok(()) => self.troubles.over(&Part::Events),
                Err(error) if is_ending(&error) => {}
                Err(error) => {
                    tracing::debug!(%error, reason = event.reason, "an Event was not taken");
                    self.troubles.met(Part::Events, format!("Events can't be written: {}", why(&error)));
                }
            }
            if self.queue.is_empty() {
                let count = self.left_out.swap(0, Ordering::Relaxed);
                if count > 0 {
                    tracing::warn!(count, "Events were left out");
                }
            }
        }
    }

    fn recorder(&mut self, event: &Event) -> Recorder {
        if self.recorders.len() >= NOTES {
            self.recorders.clear();
        }
        let note = event.note.clone().unwrap_or_default();
        let new = || Recorder::new(self.client.clone(), self.reporter.clone());
        self.recorders.entry(note).or_insert_with(new).clone()
    }
}

/// The object of an Event.
pub(super) fn reference(kind: &str, namespace: &str, name: &str, uid: &str) -> ObjectReference {
    let api_version = match kind {
        "Deployment" => "apps/v1",
        "VersionedApp" => "lockstep.dev/v1",
        _ => "v1",
    };
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()).filter(|uid| !uid.is_empty()),
        ..ObjectReference::default()
    }
}

/// The object that a transition of a version is told on.
pub(super) fn object_of(
    app: &AppId,
    version: &crate::VersionId,
    found: Option<&crate::cluster::found::FoundApp>,
    resource_uid: &str,
) -> ObjectReference {
    let workload = found
        .and_then(|found| found.versions.iter().find(|found| found.id == *version))
        .map(|version| &version.workload);
    match workload {
        Some(workload) => reference("Deployment", app.namespace(), &workload.deployment, &workload.uid),
        None => reference("VersionedApp", app.namespace(), app.name(), resource_uid),
    }
}

fn reason_of(state: VersionState) -> &'static str {
    match state {
        VersionState::Staged => "Staged",
        VersionState::Pending => "Pending",
        VersionState::Active => "Activated",
        VersionState::Draining => "Draining",
        VersionState::Expiring => "Expiring",
        VersionState::Expired => "Expired",
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http::{Method, Request, Response};
    use kube::client::Body;
    use parking_lot::Mutex;

    use super::*;

    /// Takes whatever is written, and remembers how it came.
    fn api(methods: Arc<Mutex<Vec<Method>>>) -> Client {
        let take = move |request: Request<Body>| {
            methods.lock().push(request.method().clone());
            async { Ok::<_, Infallible>(Response::new(request.into_body())) }
        };
        Client::new(tower::service_fn(take), "web")
    }

    #[tokio::test]
    async fn another_note_is_another_event() {
        let methods = Arc::<Mutex<Vec<Method>>>::default();
        let identity = Identity {
            name: "lockstep-0".to_owned(),
            namespace: "web".to_owned(),
            pod_uid: None,
            process: String::new(),
        };
        let (events, sender) = channel(api(Arc::clone(&methods)), &identity, Troubles::default());
        for note in ["no port", "no port", "no port named grpc"] {
            events.warn(reference("Deployment", "web", "shop-v1", "u"), "NoPort", note);
        }
        // What waits is sent also at the end.
        sender.run(std::future::ready(())).await;
        assert_eq!(*methods.lock(), [Method::POST, Method::PATCH, Method::POST]);
    }
}
