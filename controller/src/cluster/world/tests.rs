use k8s_openapi::api::core::v1 as core;
use serde_json::json;

use super::*;
use crate::cluster::discovery::objects::Service;

fn scope(kind: Kind, namespace: Option<&str>) -> Scope {
    Scope { kind, namespace: namespace.map(str::to_owned) }
}

fn service(namespace: &str, name: &str, port: u16) -> (Key, Service) {
    let object: core::Service = serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    }))
    .unwrap();
    ((namespace.to_owned(), name.to_owned()), Service::keep(object).unwrap())
}

/// Takes a report in and says which namespaces have to be looked at again.
fn dirty(world: &mut World, namespace: Option<&str>, update: Update<Service>) -> String {
    let scope = scope(Kind::Services, namespace);
    world.take(Report { scope, news: News::Change(Change::Services(update)) });
    world.take_dirty().into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_differs_is_looked_at_again_and_nothing_else() {
    let mut world = World::default();
    let one = |(key, service): (Key, Service)| Update::One(key, Box::new(service));
    assert_eq!(dirty(&mut world, None, one(service("a", "s", 80))), "a");
    assert_eq!(dirty(&mut world, None, one(service("a", "s", 80))), "");
    assert_eq!(dirty(&mut world, None, one(service("a", "s", 81))), "a");
    assert_eq!(dirty(&mut world, None, Update::Gone(("b".to_owned(), "s".to_owned()))), "");
    // A new list replaces all at once.
    let all = vec![service("a", "s", 81), service("b", "t", 80)];
    assert_eq!(dirty(&mut world, None, Update::All(all)), "b");
    assert_eq!(dirty(&mut world, None, Update::All(vec![service("b", "t", 80)])), "a");
    // One of a namespace says nothing about others.
    assert_eq!(dirty(&mut world, Some("a"), Update::All(vec![])), "");
    assert_eq!(dirty(&mut world, Some("b"), Update::All(vec![])), "b");
    assert_eq!((world.count(Kind::Services), world.restarts(Kind::Services)), (0, 1));
}

#[test]
fn what_can_not_be_seen_is_not_waited_for() {
    let forbidden = || News::Failed(Failure::Forbidden("no".to_owned()));
    let listed = || News::Change(Change::Services(Update::All(Vec::new())));
    // (reports, complete, stored, behind); where states may not be seen, labels decide nothing and nobody leads.
    type Reports = Vec<(Kind, News)>;
    let cases: [(Reports, bool, bool, bool); 7] = [
        (vec![], false, false, false),
        (Kind::ALL.map(|kind| (kind, listed())).into(), true, true, false),
        (Kind::ALL.map(|kind| (kind, forbidden())).into(), false, true, true),
        (with(Kind::VersionedApps, News::Failed(Failure::Unknown), listed), true, false, false),
        (with(Kind::VersionedApps, forbidden(), listed), true, true, true),
        (with(Kind::Pods, forbidden(), listed), true, true, false),
        (with(Kind::Pods, News::Failed(Failure::Other("gone".to_owned())), listed), false, true, true),
    ];
    for (index, (reports, complete, stored, behind)) in cases.into_iter().enumerate() {
        let mut world = World::new(Kind::ALL.map(|kind| scope(kind, None)), false);
        for (kind, news) in reports {
            world.take(Report { scope: scope(kind, None), news });
        }
        world.pass(Instant::now() + BELIEVED);
        let seen = (world.is_complete(), world.is_stored(), world.is_behind());
        assert_eq!(seen, (complete, stored, behind), "case {index}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_is_behind_since_the_first_watch_ended() {
    let mut world = World::new(Kind::ALL.map(|kind| scope(kind, None)), true);
    let fail = |world: &mut World, kind| {
        let news = News::Failed(Failure::Other("too many requests".to_owned()));
        world.take(Report { scope: scope(kind, None), news });
    };
    assert_eq!(world.behind_for(Instant::now()), Duration::ZERO);
    fail(&mut world, Kind::VersionedApps);
    tokio::time::advance(Duration::from_secs(20)).await;
    fail(&mut world, Kind::Pods);
    fail(&mut world, Kind::VersionedApps);
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(world.behind_for(Instant::now()), Duration::from_secs(40));
    world.take(Report { scope: scope(Kind::VersionedApps, None), news: News::Mended });
    assert_eq!(world.behind_for(Instant::now()), Duration::from_secs(20));
}

fn with(kind: Kind, news: News, others: impl Fn() -> News) -> Vec<(Kind, News)> {
    let rest = Kind::ALL.into_iter().filter(|other| *other != kind).map(|kind| (kind, others()));
    rest.chain([(kind, news)]).collect()
}

#[test]
fn failures_name_what_to_do() {
    let mut world = World::new(Kind::ALL.map(|kind| scope(kind, Some("web"))), false);
    let failures = [
        (Kind::VersionedApps, Failure::Unknown),
        (Kind::Pods, Failure::Forbidden("pods is forbidden".to_owned())),
    ];
    for (kind, failure) in failures {
        world.take(Report { scope: scope(kind, Some("web")), news: News::Failed(failure) });
    }
    let text = world.failures().join("\n");
    for expected in ["conf/k8s/base/crd.yaml", "list and watch pods in namespace web", "pods is forbidden"] {
        assert!(text.contains(expected), "{text}");
    }
    world.take(Report { scope: scope(Kind::Pods, Some("web")), news: News::Mended });
    assert_eq!(world.failures().len(), 1);
}
