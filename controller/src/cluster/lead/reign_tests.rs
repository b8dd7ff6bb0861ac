use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::poll;
use http::{Request, Response};
use kube::client::Body;
use tokio::time::advance;

use super::*;
use crate::cluster::found::{Found, Problem, ProblemReason};
use crate::record::Transition;
use crate::store::StoreError;
use crate::{AppId, Traffic, VersionId};

struct Nobody;

impl DataPlane for Nobody {
    fn routed_generation(&self) -> u64 {
        1
    }
    fn ready_endpoints(&self, _: &AppId, _: &VersionId) -> usize {
        0
    }
    fn routed(&self, _: &AppId, _: &VersionId) -> Option<usize> {
        None
    }
    fn reached(&self, _: &AppId, _: &VersionId) -> Option<usize> {
        None
    }
    fn traffic(&self, _: &AppId, _: &VersionId) -> Option<Traffic> {
        None
    }
}

impl Observer for Nobody {
    fn transitioned(&self, _: &AppId, _: &Transition) {}
    fn template_changed(&self, _: &AppId) {}
    fn not_kept(&self, _: &StoreError) {}
    fn kept(&self) {}
}

fn term(seconds: u64) -> Option<Term> {
    let now = Instant::now();
    Some(Term { since: now, until: now + Duration::from_secs(seconds) })
}

#[tokio::test(start_paused = true)]
async fn a_term_that_was_renewed_while_nobody_looked_goes_on() {
    // Of two that are ready either may be the first.
    for _ in 0..32 {
        let begun = term(10);
        let (renew, renewed) = watch::channel(begun);
        let end = end_of(renewed);
        tokio::pin!(end);
        assert!(poll!(&mut end).is_pending());
        advance(Duration::from_secs(6)).await;
        let until = Instant::now() + Duration::from_secs(10);
        renew.send_replace(begun.map(|term| Term { until, ..term }));
        advance(Duration::from_secs(5)).await;
        assert!(poll!(&mut end).is_pending());
        advance(Duration::from_secs(5)).await;
        assert!(poll!(&mut end).is_ready());
    }
}

#[tokio::test(start_paused = true)]
async fn another_term_is_not_the_same_that_goes_on() {
    let (begin, begun) = watch::channel(term(10));
    let end = end_of(begun);
    tokio::pin!(end);
    assert!(poll!(&mut end).is_pending());
    advance(Duration::from_secs(1)).await;
    begin.send_replace(term(10));
    assert!(poll!(&mut end).is_ready());
}

#[tokio::test(start_paused = true)]
async fn nobody_begins_to_lead_after_the_end() {
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    let api = move |request: Request<Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(request.into_body())) }
    };
    let client = Client::new(tower::service_fn(api), "lockstep");
    let identity = Identity {
        name: "lockstep-0".to_owned(),
        namespace: "lockstep".to_owned(),
        pod_uid: None,
        process: String::new(),
    };
    let troubles = Troubles::default();
    let (events, sender) = events::channel(client.clone(), &identity, troubles.clone());
    let problem = Problem {
        kind: "Service",
        namespace: "web".to_owned(),
        name: "shop-v1".to_owned(),
        uid: String::new(),
        reason: ProblemReason::NoPort,
        message: String::new(),
    };
    let found = Found { problems: vec![problem], ..Found::default() };
    let state = ClusterState { complete: true, stored: true, found, ..ClusterState::default() };
    let (_states, cluster) = watch::channel(Arc::new(state));
    let (_term, term) = watch::channel(term(10));
    let label = |name: &str| name.to_owned();
    let options = Options { app: label("app"), version: label("version"), mint_ids: false, adopt: false };
    let links = Links {
        client,
        cluster,
        options: Arc::new(options),
        term,
        data_plane: Arc::new(Nobody),
        observer: Arc::new(Nobody),
        events,
        troubles,
        patience: PATIENCE,
    };
    for _ in 0..32 {
        let stop = std::future::ready(()).shared();
        reign(&links, &identity, Duration::from_secs(30), stop.clone()).await;
        let (_leases, fleet) = Leases::new(&links.client, &identity, Duration::from_secs(30));
        Leader::new(links.clone(), fleet).run(stop).await;
    }
    sender.run(std::future::ready(())).await;
    assert_eq!(asked.load(Ordering::Relaxed), 0, "a leader tells first what is wrong");
}
