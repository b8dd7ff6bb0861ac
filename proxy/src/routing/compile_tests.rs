use std::path::Path;

use lockstep_controller::cluster::grants::Grant;

use super::*;
use crate::config::parse;

/// Apps of the cluster, of which one is to trust the authorities in a file.
fn config(authorities: &Path) -> Config {
    let text = format!(
        "server: {{listen: [{{addr: 127.0.0.1:0}}]}}
kubernetes: {{enabled: true}}
apps:
  - {{name: shop, namespace: web, upstream: {{tls: true, ca: {}}}}}
  - {{name: other, namespace: web}}
",
        authorities.display()
    );
    parse(&text, Path::new("test.yaml"), &HashMap::<String, String>::new()).unwrap()
}

fn snapshot(apps: &[&str], port: u16) -> VersionSnapshot {
    let app = |name: &&str| {
        let id: AppId = name.parse().unwrap();
        let host = format!("{}.example", id.name());
        let claim =
            Claim { id: id.clone(), spec: None, hosts: vec![host.clone()], path: None, expire_policy: None };
        let version = VersionStatus {
            id: "v1".parse().unwrap(),
            state: VersionState::Active,
            endpoints: Arc::from([std::net::SocketAddr::from(([127, 0, 0, 1], port))]),
            http2: false,
        };
        let grant = Grant { claim: Arc::new(claim), hosts: vec![host] };
        Arc::new(AppSnapshot {
            id,
            active: Some(version.id.clone()),
            canary: None,
            versions: vec![version],
            grant: Some(Arc::new(grant)),
        })
    };
    VersionSnapshot { generation: 1, stale: false, apps: apps.iter().map(app).collect() }
}

#[test]
fn an_app_of_the_cluster_that_cannot_be_routed_is_told_of_and_concerns_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let authorities = dir.path().join("ca.pem");
    let pem = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap().cert.pem();
    std::fs::write(&authorities, &pem).unwrap();
    let compiler = Compiler::new(Metrics::new().unwrap());
    let config = config(&authorities);
    compiler.check(&config).unwrap();
    let fixed = VersionSnapshot::default();
    let routed = |table: &RoutingTable| {
        ["shop", "other"].map(|app| table.route(&format!("{app}.example"), "/").is_some())
    };

    // Its file goes after its settings were accepted and before its first route.
    let all = |port| snapshot(&["web/shop", "web/other"], port);
    let first = all(9001);
    for app in &first.apps {
        compiler.resolve(&config, &app.grant.as_ref().unwrap().claim).unwrap();
    }
    std::fs::remove_file(&authorities).unwrap();
    let table = compiler.compile(&config, &fixed, &first).unwrap();
    assert_eq!(routed(&table), [false, true]);
    let told: Vec<_> = table.failures().iter().map(ToString::to_string).collect();
    assert!(
        matches!(told.as_slice(), [one] if one.contains("web/shop") && one.contains("ca.pem")),
        "{told:?}"
    );
    assert!(compiler.check(&config).unwrap_err().to_string().contains("web/shop"));

    std::fs::write(&authorities, &pem).unwrap();
    let table = compiler.compile(&config, &fixed, &all(9001)).unwrap();
    assert_eq!((routed(&table), table.failures().len()), ([true, true], 0));

    // Later it keeps the routes that it had; as long as nothing new needs the file, that is all there is to it.
    std::fs::remove_file(&authorities).unwrap();
    for (port, failures) in [(9001, 0), (9002, 1)] {
        let table = compiler.compile(&config, &fixed, &all(port)).unwrap();
        assert_eq!((routed(&table), table.failures().len()), ([true, true], failures));
    }
}

#[test]
fn an_app_of_the_file_that_cannot_be_routed_anew_holds_no_other_up() {
    let dir = tempfile::tempdir().unwrap();
    let authorities = dir.path().join("ca.pem");
    let pem = rcgen::generate_simple_self_signed(vec!["ca".to_owned()]).unwrap().cert.pem();
    std::fs::write(&authorities, pem).unwrap();
    let text = format!(
        "server: {{listen: [{{addr: 127.0.0.1:0}}]}}
apps:
  - {{name: shop, hosts: [shop.example], upstream: {{tls: true, ca: {}}}, versions: [{{id: v1, endpoints: ['127.0.0.1:9001']}}]}}
  - {{name: other, hosts: [other.example], versions: [{{id: v1, endpoints: ['127.0.0.1:9001']}}]}}
",
        authorities.display()
    );
    let config = parse(&text, Path::new("test.yaml"), &HashMap::<String, String>::new()).unwrap();
    let compiler = Compiler::new(Metrics::new().unwrap());
    let cluster = VersionSnapshot::default();
    compiler.compile(&config, &snapshot(&["shop", "other"], 9001), &cluster).unwrap();
    std::fs::remove_file(&authorities).unwrap();
    let table = compiler.compile(&config, &snapshot(&["shop", "other"], 9002), &cluster).unwrap();
    let endpoint = |app: &str| {
        let route = table.route(&format!("{app}.example"), "/").unwrap();
        route.active().unwrap().pool().endpoints()[0].address().port()
    };
    assert_eq!((endpoint("shop"), endpoint("other"), table.failures().len()), (9001, 9002, 1));
}

#[test]
fn what_runs_on_a_version_is_counted_to_its_end_also_without_a_route() {
    let compiler = Compiler::new(Metrics::new().unwrap());
    let text = "server: {listen: [{addr: 127.0.0.1:0}]}\nkubernetes: {enabled: true}\n";
    let config = parse(text, Path::new("test.yaml"), &HashMap::<String, String>::new()).unwrap();
    let fixed = VersionSnapshot::default();
    let (there, gone) = (snapshot(&["web/other"], 9001), VersionSnapshot::default());
    let in_flight =
        || compiler.stats(&there.apps[0].id, &there.apps[0].versions[0].id).map(|s| s.in_flight());
    compiler.compile(&config, &fixed, &there).unwrap();
    let stream = compiler.stats(&there.apps[0].id, &there.apps[0].versions[0].id).unwrap().begin();
    compiler.compile(&config, &fixed, &gone).unwrap();
    assert_eq!(in_flight(), Some(1));
    compiler.compile(&config, &fixed, &there).unwrap();
    assert_eq!(in_flight(), Some(1), "the route is back");
    compiler.compile(&config, &fixed, &gone).unwrap();
    drop(stream);
    compiler.compile(&config, &fixed, &gone).unwrap();
    assert_eq!(in_flight(), None);
}
