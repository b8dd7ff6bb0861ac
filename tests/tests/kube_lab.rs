//! The cluster of the suites itself: what it promises to the tests that build on it.

use std::time::{Duration, Instant};

use lockstep_tests::kube::{ADMIN, Refused, lab, rollout};
use lockstep_tests::poll::SOON;
use lockstep_tests::process::Process;
use lockstep_tests::{Request, until};
use serde_json::{Value, json};

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/web/deployments";

#[test]
fn pods_live_as_in_a_cluster() {
    lab("pods_live_as_in_a_cluster", |cluster| {
        let shop = rollout("shop", "v1").replicas(2).annotation("lockstep.dev/hosts", "shop.test");
        cluster.deploy_ready(&shop);
        let endpoints = cluster.endpoints_of(&shop, 2);
        assert_ne!(endpoints[0].ip(), endpoints[1].ip(), "each pod has an address of its own");
        for addr in &endpoints {
            assert_eq!(Request::get("/").send(*addr).origin(), "v1");
        }

        cluster.scale(&shop, 0);
        until("the pods are gone", || cluster.pods(&shop).is_empty());
        assert_eq!(cluster.endpoints(&shop), []);
        for addr in &endpoints {
            assert!(Request::get("/").try_send(*addr).is_err(), "the server of a pod ends with it");
        }
    });
}

#[test]
fn pods_end_with_grace_and_get_sick() {
    lab("pods_end_with_grace_and_get_sick", |cluster| {
        let shop = rollout("shop", "v1").replicas(3);
        cluster.deploy_ready(&shop);
        let names = cluster.pod_names(&shop);
        cluster.make_unready(&names[0]);
        cluster.endpoints_of(&shop, 2);
        cluster.make_ready(&names[0]);
        cluster.endpoints_of(&shop, 3);
        cluster.kill_pod(&names[1]);
        let healthy = cluster.endpoints_of(&shop, 2);
        cluster.make_unready(&shop.name);
        cluster.endpoints_of(&shop, 0);
        assert_eq!(Request::get("/").send(healthy[0]).status(), 200, "an unready pod still answers");

        let stream = std::thread::spawn({
            let addr = healthy[0];
            move || Request::get("/stream").send(addr)
        });
        cluster.kubectl(&["-n", "web", "scale", "deployment", "shop-v1", "--replicas=0"]);
        until("pods are ending", || cluster.pods(&shop).iter().any(is_ending));
        assert_eq!(stream.join().expect("a client").body.len(), lockstep_tests::origin::STREAM_BYTES);
        until("the pods are gone", || cluster.pods(&shop).is_empty());
    });
}

#[test]
fn roles_decide_who_may_do_what() {
    lab("roles_decide_who_may_do_what", |cluster| {
        let shop = rollout("shop", "v1");
        cluster.deploy(&shop);
        assert_eq!(cluster.nobody().get(DEPLOYMENTS).map_err(|refused| refused.status), Err(403));

        cluster.kubectl(&["-n", "web", "create", "serviceaccount", "reader"]);
        cluster.kubectl(&[
            "-n",
            "web",
            "create",
            "role",
            "reader",
            "--verb=get,list",
            "--resource=deployments",
        ]);
        let bind = ["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=web:reader"];
        cluster.kubectl(&[&["-n", "web"], &bind[..]].concat());
        let reader = cluster.admin().with_token(&cluster.token("web", "reader"));
        until("the reader may read", || reader.get(DEPLOYMENTS).is_ok());
        let scaled = reader.patch(&format!("{}/scale", shop.path()), &json!({"spec": {"replicas": 0}}));
        assert_eq!(scaled.map_err(|refused| refused.status), Err(403), "but not scale");

        let kubeconfig = cluster.kubeconfig_of("web", "reader");
        let file = kubeconfig.to_str().expect("a path in UTF-8");
        assert_eq!(
            cluster.kubectl(&["--kubeconfig", file, "auth", "can-i", "list", "deployments"]).trim(),
            "yes"
        );
    });
}

#[test]
fn the_api_server_stops_and_comes_back() {
    lab("the_api_server_stops_and_comes_back", |cluster| {
        let shop = rollout("shop", "v1");
        cluster.deploy_ready(&shop);
        let addr = cluster.endpoints_of(&shop, 1)[0];

        cluster.control_plane.kill_api_server();
        assert!(matches!(cluster.admin().get("/readyz"), Err(Refused { status: 0, .. })));
        assert_eq!(Request::get("/").send(addr).origin(), "v1", "pods live without it");
        cluster.control_plane.start_api_server();
        assert_eq!(cluster.endpoints_of(&shop, 1), [addr]);

        cluster.control_plane.restart_etcd();
        cluster.scale(&shop, 2);
        cluster.endpoints_of(&shop, 2);

        cluster.control_plane.pause_api_server();
        assert!(matches!(cluster.admin().get("/readyz"), Err(Refused { status: 0, .. })));
        cluster.control_plane.resume_api_server();
        until("it answers again", || cluster.admin().get("/readyz").is_ok());

        let first = cluster.admin().get(DEPLOYMENTS).expect("a list");
        cluster.scale(&shop, 1);
        cluster.control_plane.compact();
        cluster.control_plane.kill_api_server();
        cluster.control_plane.start_api_server();
        let version = first["metadata"]["resourceVersion"].as_str().expect("a version");
        let expired = cluster.admin().get(&format!("{DEPLOYMENTS}?watch=true&resourceVersion={version}"));
        assert!(is_expired(&expired), "an old watch is expired: {expired:?}");
    });
}

#[test]
fn a_proxy_holds_back_what_it_is_told_to() {
    lab("a_proxy_holds_back_what_it_is_told_to", |cluster| {
        let delay = Duration::from_secs(3);
        let proxy = cluster.proxy();
        // kubectl sends no token without TLS.
        let ask = |query: &str| {
            let mut curl = std::process::Command::new("curl");
            let url = format!("http://{}{DEPLOYMENTS}{query}", proxy.addr);
            curl.args(["--silent", "--no-buffer", "--fail", "--oauth2-bearer", ADMIN, &url]);
            curl
        };
        let watcher = Process::start("curl", &mut ask("?watch=true"));
        let told = |name: &str| watcher.stdout.find(name).is_some();
        let deploy = |version: &str| cluster.deploy(&rollout("shop", version).replicas(0));
        deploy("first");
        until("it watches", || told("shop-first"));

        proxy.delay_watches(delay);
        let begun = Instant::now();
        deploy("late");
        let listed = ask("").output().expect("curl runs");
        assert!(String::from_utf8_lossy(&listed.stdout).contains("shop-late"), "lists are not held back");
        until("the watch tells", || told("shop-late"));
        assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());

        proxy.hold("GET", DEPLOYMENTS);
        let mut held = Process::start("curl", &mut ask(""));
        until("the request is held back", || proxy.held() == 1);
        assert!(held.exited().is_none());
        proxy.let_go();
        assert!(held.wait(SOON).success());

        proxy.cut();
        assert!(!ask("").status().expect("curl runs").success(), "the client is cut off");
        proxy.restore();
        assert!(ask("").output().expect("curl runs").status.success());
    });
}

fn is_ending(pod: &Value) -> bool {
    pod["metadata"].get("deletionTimestamp").is_some()
}

/// Told by the status of the answer, or by the first event.
fn is_expired(answer: &Result<Value, Refused>) -> bool {
    match answer {
        Ok(event) => event["type"] == "ERROR" && event["object"]["code"] == 410,
        Err(refused) => refused.status == 410,
    }
}
