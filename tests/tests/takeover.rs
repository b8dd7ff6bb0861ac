//! One instance goes, another takes over: no request is lost (P2).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lockstep_tests::load::Load;
use lockstep_tests::origin::STREAM_BYTES;
use lockstep_tests::process::Signal;
use lockstep_tests::{Config, Lockstep, Origin, Request, poll, until};
use parking_lot::Mutex;

/// Sends visitors to an instance that says it is ready, as a balancer does.
struct Balancer {
    target: Arc<Mutex<SocketAddr>>,
    stop: Arc<AtomicBool>,
    prober: JoinHandle<()>,
}

impl Balancer {
    /// Probes the admin listener of the first; once it is not ready, the second is the target.
    fn start(probed: SocketAddr, first: SocketAddr, second: SocketAddr) -> Self {
        let target = Arc::new(Mutex::new(first));
        let stop = Arc::new(AtomicBool::new(false));
        let (chosen, stopped) = (Arc::clone(&target), Arc::clone(&stop));
        let prober = std::thread::spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                let ready =
                    Request::get("/readyz").try_send(probed).is_ok_and(|answer| answer.status() == 200);
                if !ready {
                    *chosen.lock() = second;
                    return;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self { target, stop, prober }
    }

    fn load(&self) -> Load {
        let target = Arc::clone(&self.target);
        Load::new(move || *target.lock())
    }

    fn target(&self) -> SocketAddr {
        *self.target.lock()
    }

    fn finish(self) {
        self.stop.store(true, Ordering::Release);
        self.prober.join().expect("the prober");
    }
}

#[test]
fn a_second_instance_takes_over_under_load() {
    let origins = [Origin::with_streams("v1"), Origin::with_streams("v2")];
    let config = Config::shop(&[("v1", origins[0].addr), ("v2", origins[1].addr)])
        .set("server.shutdown.lame_duck", "2s");
    let mut first = Lockstep::start(&config);
    let second = Lockstep::start(&config);
    let balancer = Balancer::start(first.admin, first.addr(), second.addr());
    let mut load = balancer.load();
    load.newcomers(3);
    for version in ["v1", "v2"] {
        load.keep(load.pinned(version));
        load.keep(load.patient(version, "/stream", STREAM_BYTES));
    }
    until("the load is on", || load.requests() > 300);
    first.signal(Signal::Term);
    let status = first.process.wait(poll::SOON);
    assert!(status.success(), "{status}");
    assert_eq!(balancer.target(), second.addr());
    let taken_over = load.requests();
    until("the second serves on", || load.requests() > taken_over + 300);
    balancer.finish();
    load.finish();
    assert!(!first.process.stderr.all().iter().any(|line| line.contains("cut at the end")));
}

#[test]
fn what_is_under_way_when_the_lame_duck_ends_is_finished() {
    let origins = [Origin::with_streams("v1")];
    let config = Config::shop(&[("v1", origins[0].addr)]).set("server.shutdown.lame_duck", "200ms");
    let mut first = Lockstep::start(&config);
    let (addr, mut waiting) = (first.addr(), Vec::new());
    for _ in 0..30 {
        let mut client = lockstep_tests::Client::connect(addr);
        client.send(Request::get("/stream").pinned("v1").bytes());
        waiting.push(client);
    }
    until("all of them are served", || origins[0].requests().len() == 30);
    first.signal(Signal::Term);
    until("new connections are refused", || lockstep_tests::Client::try_connect(addr).is_err());
    for client in &mut waiting {
        assert_eq!(client.response().body.len(), STREAM_BYTES);
        assert!(client.closes(), "nothing more is served");
    }
    assert!(first.process.wait(poll::SOON).success());
}
