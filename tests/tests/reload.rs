//! Edits of the configuration file take effect however they are made; bad ones never do.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use lockstep_tests::process::Signal;
use lockstep_tests::{Client, Config, Lockstep, Origin, Request, poll, until};
use serde_json::json;

struct Shop {
    origins: [Origin; 3],
}

impl Shop {
    fn new() -> Self {
        Self { origins: [Origin::echo("v1"), Origin::echo("v2"), Origin::echo("v3")] }
    }

    /// The configuration with the first `count` versions.
    fn config(&self, count: usize) -> Config {
        let versions: Vec<_> = ["v1", "v2", "v3"].into_iter().zip(&self.origins).take(count).collect();
        Config::shop(&versions.iter().map(|(id, origin)| (*id, origin.addr)).collect::<Vec<_>>())
    }
}

fn errors(proxy: &Lockstep) -> f64 {
    proxy.metrics().sum("lockstep_config_reload_total", &[("result", "error")])
}

#[test]
fn a_plain_write_adds_a_version() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(1));
    proxy.write(&shop.config(2));
    proxy.serves("v2");
    assert_eq!(proxy.send(&Request::get("/").pinned("v1")).origin(), "v1");
    assert_eq!(proxy.state("shop", "v1").as_deref(), Some("draining"));
}

#[test]
fn a_file_that_is_moved_over_the_old_one_is_followed_each_time() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(1));
    for count in [2, 3] {
        let new = proxy.dir.path().join("new.yaml");
        std::fs::write(&new, proxy.text(&shop.config(count))).expect("it is written");
        std::fs::rename(&new, proxy.config_file()).expect("it is moved");
        proxy.serves(&format!("v{count}"));
    }
}

#[test]
fn the_swap_of_a_mounted_config_map_is_followed_each_time() {
    let shop = Shop::new();
    let dir = tempfile::tempdir().expect("a directory");
    // As the kubelet lays it out: the file links to ..data/, and that link is swapped.
    let lay = |dir: &Path, name: &str, config: &Config| {
        let data = dir.join("data");
        let text = config.clone().set("server.data_dir", json!(data)).text();
        std::fs::create_dir(dir.join(name)).expect("a directory");
        std::fs::write(dir.join(name).join("lockstep.yaml"), text).expect("it is written");
        symlink(name, dir.join("..data_tmp")).expect("a link");
        std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("it is swapped");
    };
    lay(dir.path(), "..1", &shop.config(1));
    symlink("..data/lockstep.yaml", dir.path().join("lockstep.yaml")).expect("a link");
    let proxy = Lockstep::start_with_file(dir, &shop.config(1));
    for count in [2, 3] {
        lay(proxy.dir.path(), &format!("..{count}"), &shop.config(count));
        std::fs::remove_dir_all(proxy.dir.path().join(format!("..{}", count - 1))).expect("it is removed");
        proxy.serves(&format!("v{count}"));
    }
}

#[test]
fn sighup_reads_the_file_again() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(1));
    let before = proxy.reloads();
    proxy.signal(Signal::Hup);
    until("the unchanged file is read again", || proxy.reloads() > before);
    assert_eq!(proxy.active("shop").as_deref(), Some("v1"));
    assert_eq!(proxy.send(&Request::get("/")).origin(), "v1");
}

#[test]
fn a_bad_edit_keeps_what_runs_and_says_so_everywhere() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(2));
    let texts = [
        "apps: [".to_owned(),
        String::new(),
        proxy.text(&shop.config(3).set("server.limits.body_bytes", "many")),
        proxy.text(&shop.config(3).set("colour", "blue")),
    ];
    for (count, text) in texts.iter().enumerate() {
        std::fs::write(proxy.config_file(), text).expect("it is written");
        until("the error is counted", || errors(&proxy) > count as f64);
        assert_eq!(proxy.send(&Request::get("/")).origin(), "v2");
        assert_eq!(proxy.metrics().sum("lockstep_config_stale", &[]), 1.0);
    }
    let problems = proxy.api("problems").to_string();
    assert!(problems.contains("colour") && problems.contains("lockstep.yaml"), "{problems}");
    assert_eq!(proxy.api("status")["status"], "degraded");
    assert_eq!(proxy.readiness(), 200, "degraded is not unready");
    assert!(proxy.process.stderr.find("colour").is_some());
    proxy.write(&shop.config(3));
    proxy.serves("v3");
    assert_eq!(proxy.metrics().sum("lockstep_config_stale", &[]), 0.0);
    assert_eq!(proxy.api("status")["status"], "ok");
    assert_eq!(proxy.api("problems")["problems"], json!([]));
}

#[test]
fn a_reload_opens_no_listener_to_those_without_a_key() {
    let shop = Shop::new();
    let open = shop.config(1).set("server.listen", json!([{"addr": "0.0.0.0:0"}]));
    let proxy = Lockstep::start(&open.set("ai", json!({"auth": "keys"})));
    // What the file says is safe: its listener is for this machine. That of the process is not, until a restart.
    proxy.write(&shop.config(1).set("ai", json!({"auth": "none"})));
    until("the error is counted", || errors(&proxy) > 0.0);
    let problems = proxy.api("problems").to_string();
    assert!(problems.contains("ai.auth") && problems.contains("restart"), "{problems}");
    // At a host of no app.
    assert_eq!(proxy.send(&Request::get("/v1/models").host("gateway.test")).status(), 401);
}

#[test]
fn removal_from_the_file_expires_and_does_not_come_back_by_itself() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(2));
    let v2 = Config::shop(&[("v2", shop.origins[1].addr)]);
    proxy.reload(&v2);
    until("v1 has expired", || proxy.state("shop", "v1").as_deref() == Some("expired"));
    until("its pins are replaced", || {
        let answer = proxy.send(&Request::get("/").pinned("v1"));
        answer.origin() == "v2" && answer.header("x-lockstep-skew") == Some("expired")
    });
    proxy.reload(&shop.config(2));
    until("v1 is staged", || proxy.state("shop", "v1").as_deref() == Some("staged"));
    assert_eq!(proxy.active("shop").as_deref(), Some("v2"));
}

#[test]
fn a_reload_undoes_no_promotion_and_a_restart_neither() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(2));
    assert!(proxy.operate("apps/shop/versions/v1/promote").status() < 300);
    proxy.serves("v1");
    proxy.reload(&shop.config(2).set("server.limits.body_bytes", "1MiB"));
    assert_eq!(proxy.active("shop").as_deref(), Some("v1"));
    let Lockstep { mut process, dir, .. } = proxy;
    process.kill();
    drop(process);
    let proxy = Lockstep::start_in(dir, &shop.config(2));
    assert_eq!(proxy.active("shop").as_deref(), Some("v1"));
    assert_eq!(proxy.send(&Request::get("/")).origin(), "v1");
    proxy.reload(&shop.config(3));
    proxy.serves("v3");
}

#[test]
fn an_edit_fixes_the_active_version() {
    let shop = Shop::new();
    let config = shop.config(2);
    let fixed = |version: &str| {
        let mut apps = config.get("apps").clone();
        apps[0]["active"] = version.into();
        config.clone().set("apps", apps)
    };
    let proxy = Lockstep::start(&fixed("v1"));
    assert_eq!(proxy.send(&Request::get("/")).origin(), "v1");
    proxy.reload(&fixed("v2"));
    proxy.serves("v2");
    let refused = proxy.operate("apps/shop/versions/v1/promote");
    assert_eq!(refused.status(), 409, "{refused:?}");
}

#[test]
fn connections_and_requests_outlive_a_reload() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(1));
    let mut idle = Client::connect(proxy.addr());
    assert_eq!(idle.exchange(&Request::get("/")).expect("an answer").status(), 200);
    let mut busy = Client::connect(proxy.addr());
    busy.send(Request::new("POST", "/").header("content-length", "10").pinned("v1").bytes());
    busy.send("begin");
    until("the upload is under way", || proxy.metrics().sum("lockstep_requests_in_flight", &[]) == 1.0);
    proxy.reload(&shop.config(2).set("server.limits.idle_timeout", "30s"));
    proxy.serves("v2");
    busy.send("ended");
    assert_eq!(busy.response().origin(), "v1");
    assert_eq!(idle.exchange(&Request::get("/")).expect("the same connection").origin(), "v2");
}

#[test]
fn what_needs_a_restart_is_named() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(1));
    proxy.reload(&shop.config(2).set("server.threads", 1));
    proxy.serves("v2");
    until("the log names it", || {
        proxy
            .process
            .stderr
            .all()
            .iter()
            .any(|line| line.contains("server.threads") && line.contains("restart"))
    });
    let names_it = || proxy.api("problems").to_string().contains("server.threads");
    assert!(names_it());
    // It is told until what runs is what the file says, whatever else is edited.
    proxy.reload(&shop.config(2).set("server.threads", 1).set("server.limits.body_bytes", "5MiB"));
    assert!(names_it());
    proxy.reload(&shop.config(2));
    assert!(!names_it());
}

#[test]
fn an_edit_right_after_a_reload_is_noticed_at_once() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(1));
    for edit in 1..=40 {
        let before = proxy.reloads();
        proxy.write(&shop.config(1).set("server.limits.body_bytes", format!("{edit}MiB")));
        // Well below the ten seconds after which the file is looked at without an event.
        let noticed = poll::within(Duration::from_secs(5), || (proxy.reloads() > before).then_some(()));
        assert!(noticed.is_some(), "edit {edit} is not noticed");
    }
}

#[test]
fn an_edit_right_after_the_start_is_noticed() {
    let shop = Shop::new();
    for start in 1..=8 {
        let proxy = Lockstep::start(&shop.config(1));
        proxy.write(&shop.config(2));
        let noticed = poll::within(Duration::from_secs(5), || (proxy.reloads() > 0.0).then_some(()));
        assert!(noticed.is_some(), "start {start}");
    }
}

#[test]
fn a_writer_that_empties_the_file_first_is_waited_for() {
    let shop = Shop::new();
    let proxy = Lockstep::start(&shop.config(2));
    let text = proxy.text(&shop.config(3));
    std::fs::write(proxy.config_file(), "").expect("it is emptied");
    // As long as a writer may be kept from going on, and longer than what is waited for between edits.
    std::thread::sleep(Duration::from_millis(300));
    std::fs::write(proxy.config_file(), text).expect("it is written");
    proxy.serves("v3");
    assert_eq!(errors(&proxy), 0.0);
}
