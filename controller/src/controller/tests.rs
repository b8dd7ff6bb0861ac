use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::{Cleanup, Policy, Traffic, VersionId, VersionSpec, VersionState};

struct Idle;

impl DataPlane for Idle {
    fn routed_generation(&self) -> u64 {
        u64::MAX
    }
    fn ready_endpoints(&self, _: &AppId, _: &VersionId) -> usize {
        1
    }
    fn routed(&self, _: &AppId, _: &VersionId) -> Option<usize> {
        None
    }
    fn reached(&self, _: &AppId, _: &VersionId) -> Option<usize> {
        None
    }
    fn traffic(&self, _: &AppId, _: &VersionId) -> Option<Traffic> {
        Some(Traffic { in_flight: 0, idle_for: Duration::MAX })
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Observer for Seen {
    fn transitioned(&self, app: &AppId, transition: &Transition) {
        self.0.lock().push(format!("{app} {} {}", transition.version, transition.to));
    }
    fn template_changed(&self, _: &AppId) {}
    fn not_kept(&self, _: &StoreError) {
        self.0.lock().push("not kept".to_owned());
    }
    fn kept(&self) {
        self.0.lock().push("kept".to_owned());
    }
}

fn spec(app: &str, versions: &[&str]) -> AppSpec {
    AppSpec {
        id: app.parse().unwrap(),
        versions: (1..)
            .zip(versions)
            .map(|(revision, id)| VersionSpec {
                id: id.parse().unwrap(),
                revision,
                endpoints: [([127, 0, 0, 1], 9001).into()].into(),
            })
            .collect(),
        active: None,
        canary: None,
        health_checked: false,
        policy: Policy {
            grace: Duration::from_secs(60),
            idle_window: Duration::ZERO,
            cleanup: Cleanup::None,
            ..Policy::default()
        },
    }
}

/// Runs a controller beside `test`, and ends it before returning.
async fn with_controller<F: Future<Output = ()>>(dir: &std::path::Path, test: impl FnOnce(Handle) -> F) {
    let (mut controller, handle) =
        Controller::new(Store::new(dir), Arc::new(Idle), Arc::new(Seen::default())).unwrap();
    tokio::join!(test(handle), controller.run(std::future::pending()));
}

fn states(view: &AppView) -> Vec<(&str, VersionState)> {
    view.versions.iter().map(|version| (version.id.as_str(), version.state)).collect()
}

#[tokio::test]
async fn states_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    with_controller(dir.path(), |handle| async move {
        handle.apply(vec![spec("shop", &["v1", "v2"])]).await.unwrap();
        let view = handle.command("shop", "v1", Command::Promote, "ops").await.unwrap();
        assert_eq!(states(&view), [("v2", VersionState::Draining), ("v1", VersionState::Active)]);
    })
    .await;
    with_controller(dir.path(), |handle| async move {
        let snapshot = handle.apply(vec![spec("shop", &["v1", "v2"])]).await.unwrap();
        assert_eq!(snapshot.apps[0].active.as_ref().unwrap().as_str(), "v1");
        let history = handle.history("shop").await.unwrap().history;
        assert!(history.iter().any(|transition| transition.actor == "ops"));
    })
    .await;
}

#[tokio::test]
async fn every_change_is_a_new_generation_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    with_controller(dir.path(), |handle| async move {
        let first = handle.apply(vec![spec("shop", &["v1"])]).await.unwrap();
        let same = handle.apply(vec![spec("shop", &["v1"])]).await.unwrap();
        assert_eq!(first.generation, same.generation);
        let next = handle.apply(vec![spec("shop", &["v1", "v2"])]).await.unwrap();
        assert!(next.generation > same.generation);
        assert_eq!(*handle.snapshots().borrow(), next);
    })
    .await;
}

#[tokio::test]
async fn apps_are_found_by_name_while_it_is_unique() {
    let dir = tempfile::tempdir().unwrap();
    with_controller(dir.path(), |handle| async move {
        handle
            .apply(vec![spec("a/shop", &["v1"]), spec("b/shop", &["v1"]), spec("b/blog", &["v1"])])
            .await
            .unwrap();
        assert!(matches!(handle.app("shop").await, Err(CommandError::AmbiguousApp(_))));
        assert_eq!(handle.app("a/shop").await.unwrap().namespace, "a");
        assert_eq!(handle.app("blog").await.unwrap().namespace, "b");
        assert!(matches!(handle.app("absent").await, Err(CommandError::UnknownApp(_))));
    })
    .await;
}

#[tokio::test]
async fn a_removed_app_leaves_the_snapshot_but_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    with_controller(dir.path(), |handle| async move {
        handle.apply(vec![spec("shop", &["v1"])]).await.unwrap();
        assert!(handle.apply(vec![]).await.unwrap().apps.is_empty());
        handle.apply(vec![spec("shop", &["v1"])]).await.unwrap();
        assert_eq!(states(&handle.app("shop").await.unwrap()), [("v1", VersionState::Active)]);
        assert!(handle.history("shop").await.unwrap().history.len() > 3);
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_fails_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let seen = Arc::new(Seen::default());
    let gone = dir.path().join("gone");
    let (mut controller, handle) =
        Controller::new(Store::new(&gone), Arc::new(Idle), Arc::clone(&seen) as Arc<dyn Observer>).unwrap();
    let test = async move {
        handle.apply(vec![spec("shop", &["v1"])]).await.unwrap();
        assert_eq!(states(&handle.app("shop").await.unwrap()), [("v1", VersionState::Active)]);
        std::fs::create_dir(&gone).unwrap();
        handle.command("shop", "v1", Command::Promote, "ops").await.unwrap();
    };
    tokio::join!(test, controller.run(std::future::pending()));
    let seen = seen.0.lock();
    assert_eq!(seen.iter().filter(|event| *event == "not kept").count(), 1);
    assert_eq!(seen.last().map(String::as_str), Some("kept"));
}
