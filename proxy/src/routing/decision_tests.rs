use http::{HeaderMap, HeaderValue};

use super::*;
use crate::routing::fixture;
use VersionState::{Active, Draining, Expired, Expiring, Pending, Staged};

const VERSIONS: &str =
    "versions: [{id: v1, endpoints: [127.0.0.1:9001]}, {id: v2, endpoints: [127.0.0.1:9002]}]";

/// What is asked of the decision: an app's options, its states and one request.
struct Case {
    options: &'static str,
    states: &'static [(&'static str, VersionState)],
    down: &'static [&'static str],
    method: Method,
    page: bool,
    preview: bool,
    stale: bool,
    draw: u32,
    header: Option<&'static str>,
    query: Option<&'static str>,
    cookie: Option<&'static str>,
}

const LIFE: &[(&str, VersionState)] =
    &[("v0", Expired), ("v1", Draining), ("v2", Active), ("v3", Pending), ("v4", Staged), ("v5", Expiring)];

impl Default for Case {
    fn default() -> Self {
        Self {
            options: "",
            states: LIFE,
            down: &[],
            method: Method::GET,
            page: false,
            preview: false,
            stale: false,
            draw: u32::MAX,
            header: None,
            query: None,
            cookie: None,
        }
    }
}

/// `version reason pin skew` of the decision, or `! reason pinned` of the rejection.
fn outcome(case: &Case) -> String {
    let config = fixture::config(&[&format!("{{name: shop, {}{VERSIONS}}}", case.options)]);
    let table = fixture::table(&config, &fixture::states(&config, case.states, case.down));
    let app = &table.apps()[0];
    let mut headers = HeaderMap::new();
    if let Some(id) = case.header {
        headers.insert("x-deployment-id", HeaderValue::from_static(id));
    }
    if let Some(cookie) = case.cookie {
        headers.insert("cookie", HeaderValue::from_static(cookie));
    }
    let pins = Pins::of(&headers, case.query, app.skew());
    let visit = Visit {
        method: &case.method,
        page_load: case.page,
        preview: case.preview,
        stale: case.stale,
        draw: case.draw,
    };
    match decide(app, &pins, visit) {
        Ok(decision) => format!(
            "{} {} {} {}",
            decision.version.id(),
            decision.reason,
            if decision.pinning == Pinning::Pin { "pin" } else { "-" },
            decision.skew.map_or("-", Skew::as_str),
        ),
        Err(rejection) => {
            format!("! {} {}", rejection.reason, rejection.pinned.map_or("-", |pinned| pinned.as_str()))
        }
    }
}

#[track_caller]
fn check(cases: Vec<(Case, &str)>) {
    for (index, (case, expected)) in cases.into_iter().enumerate() {
        assert_eq!(outcome(&case), expected, "case {index}");
    }
}

const V0: Option<&str> = Some("__plt_dpl=v0");
const V1: Option<&str> = Some("__plt_dpl=v1");
const V2: Option<&str> = Some("__plt_dpl=v2");

#[test]
fn unpinned_visitors_get_the_active_version_and_a_pin() {
    check(vec![
        (Case::default(), "v2 active pin -"),
        (Case { page: true, ..Case::default() }, "v2 active pin -"),
        (Case { cookie: Some("other=v1; x__plt_dpl=v1"), ..Case::default() }, "v2 active pin -"),
        (Case { states: &[("v1", Draining)], ..Case::default() }, "! no_version -"),
        (Case { down: &["v2"], ..Case::default() }, "! no_endpoint -"),
    ]);
}

#[test]
fn the_highest_pin_that_names_a_version_decides() {
    check(vec![
        (Case { cookie: V1, ..Case::default() }, "v1 cookie - -"),
        (Case { query: Some("dpl=v1"), cookie: V2, ..Case::default() }, "v1 query - -"),
        (Case { header: Some("v1"), query: Some("dpl=v2"), cookie: V2, ..Case::default() }, "v1 header - -"),
        (Case { header: Some("nope"), query: Some("dpl=v1"), ..Case::default() }, "v1 query - unknown"),
        (Case { header: Some("nope"), cookie: V1, ..Case::default() }, "v1 cookie - unknown"),
        (Case { cookie: Some("__plt_dpl=blog-7; __plt_dpl=v1"), ..Case::default() }, "v1 cookie - unknown"),
        (Case { cookie: Some("__plt_dpl=nope"), ..Case::default() }, "v2 unknown pin unknown"),
        (Case { header: Some("v3"), ..Case::default() }, "v3 header - -"),
        (Case { header: Some("v3"), down: &["v3"], ..Case::default() }, "v2 unknown pin unknown"),
    ]);
}

#[test]
fn the_query_does_not_choose_page_loads_unless_configured() {
    let page = || Case { page: true, query: Some("dpl=v1"), ..Case::default() };
    check(vec![
        (page(), "v2 active pin -"),
        (Case { cookie: V1, query: Some("dpl=v2"), page: true, ..Case::default() }, "v1 cookie - -"),
        (Case { options: "query_on_navigation: true, ", ..page() }, "v1 query - -"),
    ]);
}

#[test]
fn page_loads_renew_the_active_pin_and_never_a_draining_one() {
    check(vec![
        (Case { cookie: V2, ..Case::default() }, "v2 cookie - -"),
        (Case { cookie: V2, page: true, ..Case::default() }, "v2 cookie pin -"),
        (Case { cookie: V1, page: true, ..Case::default() }, "v1 cookie - -"),
        (Case { header: Some("v2"), page: true, ..Case::default() }, "v2 header - -"),
    ]);
}

#[test]
fn navigation_latest_takes_page_loads_to_the_active_version() {
    let latest = || Case { options: "navigation: latest, ", page: true, cookie: V1, ..Case::default() };
    check(vec![
        (latest(), "v2 latest pin -"),
        (Case { page: false, ..latest() }, "v1 cookie - -"),
        (Case { header: Some("v1"), ..latest() }, "v1 header - -"),
        (Case { cookie: V2, ..latest() }, "v2 cookie pin -"),
        (Case { down: &["v2"], ..latest() }, "v1 cookie - -"),
        (
            Case { options: "navigation: latest, canary: {version: v1, share: 10%}, ", ..latest() },
            "v1 cookie - -",
        ),
    ]);
}

#[test]
fn expired_pins_follow_on_expired() {
    let expired = |options, method| Case { options, method, cookie: V0, ..Case::default() };
    let unsafe_ = "on_expired: reject_unsafe, ";
    let reject = "on_expired: reject, ";
    check(vec![
        (expired("", Method::POST), "v2 expired pin expired"),
        (expired(unsafe_, Method::GET), "v2 expired pin expired"),
        (expired(unsafe_, Method::HEAD), "v2 expired pin expired"),
        (expired(unsafe_, Method::OPTIONS), "v2 expired pin expired"),
        (expired(unsafe_, Method::POST), "! pin_expired v0"),
        (expired(unsafe_, Method::PUT), "! pin_expired v0"),
        (expired(unsafe_, Method::PATCH), "! pin_expired v0"),
        (expired(unsafe_, Method::DELETE), "! pin_expired v0"),
        (expired(reject, Method::GET), "! pin_expired v0"),
        (Case { page: true, ..expired(reject, Method::GET) }, "v2 expired pin expired"),
        (Case { cookie: Some("__plt_dpl=v5"), ..expired(reject, Method::GET) }, "! pin_expired v5"),
        // Lower pins are not asked.
        (Case { header: Some("v0"), cookie: V1, ..Case::default() }, "v2 expired - expired"),
        (Case { query: Some("dpl=v0"), cookie: V1, ..Case::default() }, "v2 expired - expired"),
    ]);
}

#[test]
fn an_unhealthy_pin_fails_unless_configured() {
    let down = |options| Case { options, down: &["v1"], cookie: V1, ..Case::default() };
    check(vec![
        (down(""), "! no_endpoint v1"),
        (down("on_unhealthy: active, "), "v2 unhealthy - -"),
        (Case { down: &["v1", "v2"], ..down("on_unhealthy: active, ") }, "! no_endpoint v1"),
        (Case { down: &["v2"], cookie: V2, ..down("on_unhealthy: active, ") }, "! no_endpoint v2"),
    ]);
}

#[test]
fn staged_versions_are_for_previews_and_canary_visitors() {
    let staged = || Case { cookie: Some("__plt_dpl=v4"), ..Case::default() };
    let states: &[(&str, VersionState)] = &[("v1", Active), ("v2", Staged)];
    let canary = || Case { options: "canary: {version: v2, share: 10%}, ", states, ..Case::default() };
    let tenth = u32::MAX / 10;
    check(vec![
        (staged(), "v2 unknown pin unknown"),
        (Case { preview: true, ..staged() }, "v4 cookie - -"),
        (Case { draw: 0, ..canary() }, "v2 canary pin -"),
        (Case { draw: tenth - 1, ..canary() }, "v2 canary pin -"),
        (Case { draw: tenth + 1, ..canary() }, "v1 active pin -"),
        (Case { draw: 0, cookie: V1, ..canary() }, "v1 cookie - -"),
        (Case { cookie: V2, ..canary() }, "v2 cookie - -"),
        (Case { draw: 0, down: &["v2"], ..canary() }, "v1 active pin -"),
    ]);
}

#[test]
fn a_stale_replica_serves_unknown_pins_but_keeps_them() {
    let unknown = || Case { cookie: Some("__plt_dpl=v9"), ..Case::default() };
    check(vec![
        (Case { stale: true, ..unknown() }, "v2 unknown - unknown"),
        (Case { stale: true, ..Case::default() }, "v2 active pin -"),
        (Case { stale: true, cookie: V1, ..Case::default() }, "v1 cookie - -"),
    ]);
}

/// P1: whatever a request says besides its strongest pin, a version that lives serves it.
#[test]
fn a_living_pin_is_never_served_by_another_version() {
    for options in ["", "on_expired: reject, ", "on_unhealthy: fail, ", "canary: {version: v2, share: 99%}, "]
    {
        for method in [Method::GET, Method::POST] {
            for (page, stale, draw) in
                [(false, false, 0), (true, false, 0), (false, true, u32::MAX), (true, true, 7)]
            {
                for down in [&[][..], &["v1"], &["v2"]] {
                    let method = method.clone();
                    let case =
                        Case { options, method, page, stale, draw, down, cookie: V1, ..Case::default() };
                    let found = outcome(&case);
                    assert!(found.starts_with("v1 ") || found == "! no_endpoint v1", "{found}");
                }
            }
        }
    }
}
