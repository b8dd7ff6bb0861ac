use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use lockstep_controller::Controller;
use lockstep_controller::store::Store;
use serde_json::Value;
use tower_service::Service as _;

use super::*;
use crate::ai::gateway::Gateway;
use crate::ai::ledger::Discard;
use crate::metrics::Metrics;
use crate::plane::Plane;
use crate::problems::Problems;

struct Quiet;

impl lockstep_controller::controller::Observer for Quiet {
    fn template_changed(&self, _: &lockstep_controller::AppId) {}
    fn transitioned(&self, _: &lockstep_controller::AppId, _: &lockstep_controller::record::Transition) {}
    fn not_kept(&self, _: &lockstep_controller::store::StoreError) {}
    fn kept(&self) {}
}

const CONFIG: &str = "
server:
  listen: [{addr: 127.0.0.1:0}]
  admin:
    addr: 127.0.0.1:0
    tokens: [{name: eyes, token: {value: look}, can: read}, {name: hands, token: {value: do}, can: operate}]
apps:
  - name: shop
    namespace: web
    versions: [{id: v1, endpoints: [127.0.0.1:9001]}, {id: v2, endpoints: [127.0.0.1:9002]}]
";

/// Asks a router beside a running controller.
async fn asks(requests: &[(&str, &str, Option<&str>, &str)]) -> Vec<(StatusCode, Value)> {
    let dir = tempfile::tempdir().unwrap();
    let environment = std::collections::HashMap::<String, String>::new();
    let config = crate::config::parse(CONFIG, std::path::Path::new("test.yaml"), &environment).unwrap();
    let specs = config.app_specs();
    let metrics = Metrics::new().unwrap();
    let plane = Plane::new(config, Arc::clone(&metrics));
    let (mut controller, handle) =
        Controller::new(Store::new(dir.path()), Arc::clone(&plane) as _, Arc::new(Quiet)).unwrap();
    let shared = Shared {
        file: "test.yaml".into(),
        plane: Arc::clone(&plane),
        controller: handle.clone(),
        routing: Arc::default(),
        cluster: None,
        lead: Arc::default(),
        ai: Gateway::new(Arc::new(Discard), Arc::clone(&metrics)),
        audit: Arc::default(),
        background: None,
        metrics,
        problems: Arc::new(Problems::default()),
        started: jiff::Timestamp::now(),
    };
    let ask = async {
        plane.route(&handle.apply(specs).await.unwrap()).unwrap();
        drop(handle);
        let mut router = router(shared);
        let mut answers = Vec::new();
        for (method, path, token, peer) in requests {
            let mut request = Request::builder().method(*method).uri(*path);
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(Peer::new(peer.parse().unwrap())));
            let answer = router.call(request).await.unwrap();
            let status = answer.status();
            let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            answers.push((status, serde_json::from_slice(&body).unwrap_or(Value::Null)));
        }
        answers
    };
    let (answers, ()) = tokio::join!(ask, controller.run(std::future::pending()));
    answers
}

const NEAR: &str = "127.0.0.1:5";
const FAR: &str = "192.0.2.1:5";
const VERSIONS: &str = "/api/v1/apps/web%2Fshop/versions";

#[tokio::test]
async fn access_follows_peer_and_token() {
    let promote = "/api/v1/apps/shop/versions/v1/promote";
    let cases = [
        ("GET", "/livez", None, FAR, 200),
        ("GET", "/readyz", None, FAR, 503),
        ("GET", "/metrics", None, FAR, 200),
        ("GET", VERSIONS, None, NEAR, 200),
        ("GET", VERSIONS, None, FAR, 401),
        ("GET", VERSIONS, Some("wrong"), NEAR, 401),
        ("GET", VERSIONS, Some("look"), FAR, 200),
        ("POST", promote, None, NEAR, 401),
        ("POST", promote, Some("look"), NEAR, 403),
        ("POST", promote, Some("do"), FAR, 200),
        ("GET", promote, Some("do"), FAR, 405),
        ("POST", "/api/v1/apps/shop/versions/v1/explode", Some("do"), FAR, 404),
        ("POST", "/api/v1/apps/shop/versions/v9/promote", Some("do"), FAR, 404),
        ("POST", "/api/v1/apps/shop/versions/v1/expire", Some("do"), FAR, 409),
        ("POST", "/api/v1/apps/shop/versions/v2/expire?now=perhaps", Some("do"), FAR, 400),
        ("GET", "/api/v1/apps/nope", None, NEAR, 404),
        ("GET", "/nope", None, NEAR, 404),
        ("GET", "/api/v1/explain", None, NEAR, 400),
    ];
    let requests: Vec<_> =
        cases.iter().map(|(method, path, token, peer, _)| (*method, *path, *token, *peer)).collect();
    for (case, (status, body)) in cases.iter().zip(asks(&requests).await) {
        assert_eq!(status.as_u16(), case.4, "{case:?}: {body}");
    }
}

#[tokio::test]
async fn a_command_shows_its_actor_in_state_and_history() {
    let answers = asks(&[
        ("POST", "/api/v1/apps/shop/versions/v1/promote", Some("do"), FAR),
        ("GET", "/api/v1/apps/shop/history", None, NEAR),
        ("GET", "/api/v1/explain?host=a.example&path=/x&cookie=__plt_dpl=v2", None, NEAR),
        ("GET", "/api/v1/config", None, NEAR),
    ])
    .await;
    let versions = &answers[0].1["versions"];
    assert_eq!(
        (&versions[1]["id"], &versions[1]["state"], &versions[1]["actor"]),
        (&"v1".into(), &"active".into(), &"hands".into())
    );
    assert_eq!(answers[0].1["namespace"], "web");
    let history = answers[1].1["history"].as_array().unwrap();
    assert!(history.iter().any(|t| t["reason"] == "promoted" && t["actor"] == "hands"));
    assert_eq!((&answers[2].1["version"], &answers[2].1["reason"]), (&"v2".into(), &"cookie".into()));
    assert!(!answers[3].1.to_string().contains("look"), "secrets are masked");
}
