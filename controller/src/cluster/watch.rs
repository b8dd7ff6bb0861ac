//! Watches one kind of object in one namespace or in all of them, and hands on what changes. A list
//! that had to be made again is handed on whole, so that nothing is missing while it is made.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::backoff::backoff;
use super::discovery::objects::{Deployment, Kept, Key, Pod, Service, Slice, key};
use super::resource::VersionedApp;

/// How long one watch lasts, in seconds; a connection that died unnoticed is found out after that.
const LASTS: u32 = 60;
/// Objects of one page of a list.
const PAGE: u32 = 500;
/// A watch that says nothing for this long after an error has been mended; longer than a connection may take to be
/// made.
const MENDED: Duration = Duration::from_secs(8);
/// The longest wait before a watch is tried again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A kind of object that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Deployments.
    Deployments,
    /// Services.
    Services,
    /// EndpointSlices.
    EndpointSlices,
    /// Pods.
    Pods,
    /// Our own resource.
    VersionedApps,
}

/// One watch: a kind, in a namespace or in all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope {
    pub(crate) kind: Kind,
    pub(crate) namespace: Option<String>,
}

/// What a watch reports.
pub(crate) struct Report {
    pub(crate) scope: Scope,
    pub(crate) news: News,
}

/// What is new.
pub(crate) enum News {
    Change(Change),
    Failed(Failure),
    /// It works again.
    Mended,
}

/// Objects that changed.
pub(crate) enum Change {
    Deployments(Update<Deployment>),
    Services(Update<Service>),
    Slices(Update<Slice>),
    Pods(Update<Pod>),
    Apps(Update<VersionedApp>),
}

/// Objects of one kind that changed.
pub(crate) enum Update<K> {
    /// These are all.
    All(Vec<(Key, K)>),
    /// This one is new or another.
    One(Key, Box<K>),
    /// This one is gone, or of no use any more.
    Gone(Key),
}

/// Why a watch does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The API does not know the kind.
    Unknown,
    /// It may not be seen.
    Forbidden(String),
    /// Something else, which may pass.
    Other(String),
}

/// Watches until nobody listens any more.
pub(crate) async fn watch<K>(
    api: Api<K::Object>,
    scope: Scope,
    reports: mpsc::Sender<Report>,
    change: fn(Update<K>) -> Change,
) where
    K: Kept,
    K::Object: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().timeout(LASTS).page_size(PAGE);
    let mut events = pin!(watcher(api, config));
    let mut listed = Vec::new();
    let mut failing = false;
    // Whether all has to be listed: silence says nothing then.
    let mut listing = true;
    let mut waits = backoff(PATIENCE);
    loop {
        let event = if failing && !listing {
            match timeout(MENDED, events.next()).await {
                Ok(event) => event,
                Err(_silent) => {
                    failing = false;
                    if send(&reports, &scope, News::Mended).await { continue } else { return }
                }
            }
        } else {
            events.next().await
        };
        match &event {
            Some(Ok(Event::Init)) | Some(Err(watcher::Error::InitialListFailed(_))) => listing = true,
            Some(Ok(Event::InitDone)) => listing = false,
            _ => {}
        }
        let news = match event {
            None => return,
            Some(Ok(event)) => update(event, &mut listed).map(|update| News::Change(change(update))),
            Some(Err(error)) => failure(&error).map(News::Failed),
        };
        let Some(news) = news else { continue };
        let wait = if matches!(news, News::Failed(_)) { waits.next() } else { None };
        if !send(&reports, &scope, news).await {
            return;
        }
        failing = wait.is_some();
        match wait {
            Some(wait) => sleep(wait).await,
            None => waits = backoff(PATIENCE),
        }
    }
}

async fn send(reports: &mpsc::Sender<Report>, scope: &Scope, news: News) -> bool {
    reports.send(Report { scope: scope.clone(), news }).await.is_ok()
}

/// What follows from an event. What is listed is kept back until it is complete.
fn update<K>(event: Event<K::Object>, listed: &mut Vec<(Key, K)>) -> Option<Update<K>>
where
    K: Kept,
    K::Object: Resource,
{
    match event {
        Event::Init => {
            listed.clear();
            None
        }
        Event::InitApply(object) => {
            let place = key(object.meta())?;
            listed.extend(K::keep(object).map(|kept| (place, kept)));
            None
        }
        Event::InitDone => Some(Update::All(std::mem::take(listed))),
        Event::Apply(object) => {
            let place = key(object.meta())?;
            Some(match K::keep(object) {
                Some(kept) => Update::One(place, Box::new(kept)),
                None => Update::Gone(place),
            })
        }
        Event::Delete(object) => Some(Update::Gone(key(object.meta())?)),
    }
}

/// Why an error is one; nothing, if what follows is a new list and no error at all.
fn failure(error: &watcher::Error) -> Option<Failure> {
    let status = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status,
        other => return Some(Failure::Other(chain(other))),
    };
    match status.code {
        410 => None,
        404 => Some(Failure::Unknown),
        403 => Some(Failure::Forbidden(status.message.clone())),
        401 => Some(Failure::Other("the API does not accept our credentials (401)".to_owned())),
        _ => Some(Failure::Other(status.message.clone())),
    }
}

impl Failure {
    /// Whether the API answered, and does not want to, or can't, show what was asked for.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Unknown | Self::Forbidden(_))
    }
}

/// An error with what brought it about.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let mut text = error.to_string();
    for cause in causes {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Deployments, Self::Services, Self::EndpointSlices, Self::Pods, Self::VersionedApps];

    /// The name used in metrics and messages: the resource in the API, with its group.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deployments => "deployments.apps",
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices.discovery.k8s.io",
            Self::Pods => "pods",
            Self::VersionedApps => "versionedapps.lockstep.dev",
        }
    }
}
