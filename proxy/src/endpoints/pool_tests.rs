use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

pub(crate) fn upstream() -> Upstream {
    Upstream {
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(4),
        tls: false,
        ca: None,
        sni: None,
        http2: false,
        retries: 2,
    }
}

fn pool(count: u16, balance: Balance) -> Pool {
    let settings = PoolSettings {
        app: AppId::new("", "shop").unwrap(),
        version: "v1".parse().unwrap(),
        endpoints: (0..count).map(|n| SocketAddr::from(([127, 0, 0, 1], 9000 + n))).collect(),
        balance,
        upstream: upstream(),
        health: None,
        ejection: Ejection {
            failures: 1,
            duration: Duration::from_secs(600),
            max_share: "50%".parse().unwrap(),
        },
        host: "shop".into(),
    };
    Pool::new(settings, None, None, None)
}

#[test]
fn every_endpoint_gets_its_turn() {
    for balance in [Balance::RoundRobin, Balance::LeastLoaded] {
        let pool = pool(3, balance);
        let mut seen = BTreeMap::new();
        for _ in 0..30 {
            *seen.entry(pool.choose(&[]).unwrap().endpoint.address()).or_insert(0) += 1;
        }
        assert_eq!(seen.values().copied().collect::<Vec<_>>(), [10, 10, 10], "{balance:?}");
    }
}

#[test]
fn what_was_tried_is_not_offered_again() {
    for (count, balance) in [(1, Balance::RoundRobin), (3, Balance::RoundRobin), (3, Balance::LeastLoaded)] {
        let pool = pool(count, balance);
        let mut tried = Vec::new();
        while let Some(choice) = pool.choose(&tried) {
            tried.push(choice.endpoint.address());
        }
        tried.sort();
        tried.dedup();
        assert_eq!(tried.len(), usize::from(count), "{balance:?}");
    }
}

#[test]
fn ejected_endpoints_are_the_last_resort() {
    let pool = pool(2, Balance::RoundRobin);
    let bad = pool.choose(&[]).unwrap().endpoint;
    assert_eq!(pool.failed(&bad, Fault::NoAnswer), Verdict::Ejected);
    let good = (0..10).map(|_| pool.choose(&[]).unwrap().endpoint.address()).collect::<BTreeSet<_>>();
    assert_eq!(good.len(), 1);
    assert!(!good.contains(&bad.address()));
    let last = pool.choose(&good.into_iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(last.endpoint.address(), bad.address());
}

#[test]
fn an_empty_pool_is_not_usable() {
    let pool = pool(0, Balance::RoundRobin);
    assert!(!pool.is_usable());
    assert!(pool.choose(&[]).is_none());
}

#[test]
fn counts_outlive_a_change_of_membership() {
    let old = pool(1, Balance::RoundRobin);
    let _request = old.endpoints()[0].begin();
    let mut settings = old.settings().clone();
    settings.endpoints = [9000, 9001].map(|port| SocketAddr::from(([127, 0, 0, 1], port))).into();
    let new = Pool::new(settings, Some(&old), None, None);
    assert_eq!(new.endpoints()[0].in_flight(), 1);
}

#[test]
fn what_failed_its_checks_is_left_out_of_a_pool_made_anew() {
    let old = pool(2, Balance::RoundRobin);
    let mut settings = old.settings().clone();
    settings.health = Some(Health { path: "/".to_owned(), interval: Duration::from_secs(5) });
    let checked = Pool::new(settings.clone(), Some(&old), None, None);
    old.endpoints()[0].checked(true);
    old.endpoints()[1].checked(true);
    assert_eq!((checked.usable(), checked.ready()), (2, 2));
    checked.endpoints()[0].checked(false);
    settings.balance = Balance::LeastLoaded;
    let new = Pool::new(settings.clone(), Some(&checked), None, None);
    assert_eq!((new.usable(), new.ready(), new.available()), (1, 1, 1));
    let bad = new.endpoints()[0].address();
    assert!((0..10).all(|_| new.choose(&[]).unwrap().endpoint.address() != bad));
    // It is left out for one reason, not for two.
    new.failed(&new.endpoints()[0], Fault::NoAnswer);
    assert_eq!(new.available(), 1);
    new.endpoints()[1].checked(false);
    assert!(!new.is_usable() && new.choose(&[]).is_none());
    settings.health = None;
    assert_eq!(Pool::new(settings, Some(&new), None, None).usable(), 2, "nobody asks any more");
}

#[test]
fn connections_of_two_versions_are_never_shared() {
    let app = AppId::new("", "shop").unwrap();
    let key = |version: &str| peer::group_key(&app, &version.parse().unwrap(), &upstream());
    assert_ne!(key("v1"), key("v2"));
    assert_eq!(key("v1"), key("v1"));
}
