//! `lockstep demo`, as a newcomer meets it.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use lockstep_tests::audit::shipped;
use lockstep_tests::lockstep::binary;
use lockstep_tests::process::{Process, Signal};
use lockstep_tests::{Client, Request, eventually};
use parking_lot::{Mutex, MutexGuard};

/// Two demos at once would quarrel about the ports that it likes best.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Demo {
    _only: MutexGuard<'static, ()>,
    process: Process,
    dir: tempfile::TempDir,
    app: SocketAddr,
    admin: SocketAddr,
}

impl Demo {
    fn start() -> Self {
        let only = ONE_AT_A_TIME.lock();
        let dir = tempfile::tempdir().expect("a directory");
        let process = Process::start("demo", Command::new(binary()).arg("demo").current_dir(dir.path()));
        let address = |name: &str| {
            eventually("the demo tells where it is", || {
                let line =
                    process.stdout.all().into_iter().find(|line| line.trim_start().starts_with(name))?;
                let rest = line.split("http://").nth(1)?;
                rest.split('/').next()?.parse().ok()
            })
        };
        let (app, admin) = (address("app "), address("admin "));
        eventually("the demo serves", || {
            Request::get("/").try_send(app).ok().filter(|page| page.status() == 200)
        });
        Self { _only: only, process, dir, app, admin }
    }
}

#[test]
fn what_the_demo_prints_works() {
    let mut demo = Demo::start();
    let curls: Vec<_> =
        demo.process.stdout.all().into_iter().filter(|line| line.contains("  curl ")).collect();
    assert_eq!(curls.len(), 4, "{curls:?}");
    let run = |line: &str| {
        let command = format!("{} --silent --max-time 2", line.trim());
        let output = Command::new("sh").args(["-c", &command]).output().expect("sh runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(
        run(&curls[0]).contains("set-cookie: __plt_dpl=v2")
            || run(&curls[0]).contains("Set-Cookie: __plt_dpl=v2")
    );
    assert!(run(&curls[1]).contains("{\"version\":\"v1\"}"));
    assert!(run(&curls[2]).starts_with("data: {\"version\":\"v1\""));
    let answer = run(&curls[3]);
    assert!(answer.contains("\"Hello \"") && answer.ends_with("data: [DONE]\n\n"), "{answer}");
    let record = eventually("its record is on disk", || {
        shipped(&demo.dir.path().join("data/demo/audit")).into_iter().find(|record| record["type"] == "ai")
    });
    assert_eq!(record["message"]["content"], "You said: Hello there");
    let page = Request::get("/").page_load().send(demo.app);
    assert!(page.text().contains("v2") && page.pins_to().as_deref() == Some("v2"), "{page:?}");
    let url = format!("http://{}", demo.admin);
    let mut promote = Command::new(binary());
    promote.args(["versions", "promote", "shop", "v1", "--admin", &url]).env("LOCKSTEP_ADMIN_TOKEN", "demo");
    assert!(promote.status().is_ok_and(|status| status.success()));
    demo.process.signal(Signal::Int);
    assert!(demo.process.wait(Duration::from_secs(10)).success());
}

#[test]
fn ctrl_c_ends_the_demo_while_a_clock_runs() {
    let mut demo = Demo::start();
    let mut clock = Client::connect(demo.app);
    clock.send(Request::get("/events").bytes());
    assert_eq!(clock.head().status(), 200);
    assert!(clock.chunk().expect("a tick").is_some());
    demo.process.signal(Signal::Int);
    demo.process.wait(Duration::from_secs(15));
}
