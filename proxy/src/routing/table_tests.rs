use super::*;
use crate::routing::fixture;

fn app(name: &str, hosts: &str, path: &str) -> String {
    format!(
        "{{name: {name}, hosts: [{hosts}], path: {path}, versions: [{{id: v1, endpoints: [127.0.0.1:9001]}}]}}"
    )
}

fn routes(apps: &[String]) -> impl Fn(&str, &str) -> Option<String> + use<> {
    let apps: Vec<&str> = apps.iter().map(String::as_str).collect();
    let config = fixture::config(&apps);
    let table = fixture::table(&config, &fixture::states(&config, &[("v1", VersionState::Active)], &[]));
    move |host, path| table.route(host, path).map(|app| app.config().id.to_string())
}

#[test]
fn hosts_go_from_exact_to_wildcard_to_any() {
    let route = routes(&[
        app("exact", "shop.example.com", "/"),
        app("wild", "\"*.example.com\"", "/"),
        app("deep", "\"*.eu.example.com\"", "/"),
        app("books", "bücher.example", "/"),
        app("rest", "", "/"),
    ]);
    let cases = [
        ("shop.example.com", "exact"),
        ("www.example.com", "wild"),
        ("a.b.example.com", "wild"),
        ("a.eu.example.com", "deep"),
        ("example.com", "rest"),
        ("xn--bcher-kva.example", "books"),
        ("other.org", "rest"),
        ("127.0.0.1", "rest"),
    ];
    for (host, expected) in cases {
        assert_eq!(route(host, "/").as_deref(), Some(expected), "{host}");
    }
}

#[test]
fn an_app_for_every_host_names_none() {
    let apps = [
        app("exact", "shop.example.com", "/"),
        app("wild", "\"*.eu.example.com\"", "/"),
        app("rest", "", "/"),
    ];
    let apps: Vec<&str> = apps.iter().map(String::as_str).collect();
    let config = fixture::config(&apps);
    let table = fixture::table(&config, &fixture::states(&config, &[("v1", VersionState::Active)], &[]));
    for (host, named) in [
        ("shop.example.com", true),
        ("a.b.eu.example.com", true),
        ("eu.example.com", false),
        ("other.org", false),
    ] {
        assert_eq!(table.names(host), named, "{host}");
    }
}

#[test]
fn the_longest_prefix_wins_on_segment_borders() {
    let route = routes(&[
        app("root", "a.example", "/"),
        app("api", "a.example", "/api"),
        app("v2", "a.example", "/api/v2"),
        app("alone", "b.example", "/only"),
    ]);
    let cases = [
        ("a.example", "/", Some("root")),
        ("a.example", "/x/y", Some("root")),
        ("a.example", "/api", Some("api")),
        ("a.example", "/api/", Some("api")),
        ("a.example", "/api/x", Some("api")),
        ("a.example", "/apix", Some("root")),
        ("a.example", "/api/v2/x", Some("v2")),
        ("a.example", "/api/v20", Some("api")),
        ("a.example", "/API", Some("root")),
        ("b.example", "/only/x", Some("alone")),
        ("b.example", "/", None),
        ("b.example", "/onlyx", None),
        ("c.example", "/", None),
        ("a.example", "*", Some("root")),
    ];
    for (host, path, expected) in cases {
        assert_eq!(route(host, path).as_deref(), expected, "{host}{path}");
    }
}

#[test]
fn ten_thousand_versions_are_compiled_quickly_enough_to_test() {
    let apps: Vec<String> =
        (0..1000).map(|n| app(&format!("app-{n}"), &format!("a{n}.example"), "/")).collect();
    let route = routes(&apps);
    assert_eq!(route("a999.example", "/x").as_deref(), Some("app-999"));
}
