//! P1 and P2 under load: no visitor sees another version than the pinned one, and no request
//! fails, while versions come and go.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lockstep_tests::load::{Load, Visitor};
use lockstep_tests::origin::STREAM_BYTES;
use lockstep_tests::{App, Config, Lockstep, Origin, app, until};

/// Edits of the configuration file and the time they take together.
const EDITS: usize = 50;
const SPAN: Duration = Duration::from_secs(30);
/// Versions that are alive at a time, the active one among them.
const ALIVE: usize = 4;

/// A version in the life of the test: its endpoints and who is pinned to it.
struct Release {
    id: String,
    origins: [Origin; 2],
    visitors: Vec<Visitor>,
}

impl Release {
    fn new(number: usize) -> Self {
        let id = format!("v{number}");
        Self { origins: [Origin::with_streams(&id), Origin::with_streams(&id)], id, visitors: Vec::new() }
    }

    fn addrs(&self) -> Vec<SocketAddr> {
        self.origins.iter().map(|origin| origin.addr).collect()
    }

    /// Its visitors leave before it does: what they would get afterwards is another test's matter.
    fn retire(self) -> Self {
        let visitors = self.visitors;
        visitors.into_iter().for_each(Visitor::leave);
        Self { visitors: Vec::new(), ..self }
    }
}

fn config(releases: &[Release], edit: usize) -> Config {
    let shop: App =
        releases.iter().fold(app("shop"), |shop, release| shop.version(&release.id, &release.addrs()));
    // Each edit also changes what is not a version.
    Config::new().app(shop).set("server.limits.body_bytes", format!("{}MiB", 10 + edit % 7))
}

#[test]
fn fifty_edits_in_thirty_seconds_under_load() {
    let mut releases = vec![Release::new(1), Release::new(2)];
    let proxy = Lockstep::start(&config(&releases, 0));
    let addr = proxy.addr();
    let mut load = Load::new(move || addr);
    load.newcomers(3);
    for release in &mut releases {
        settle(&load, release);
    }
    let begun = Instant::now();
    let mut retired = Vec::new();
    for edit in 1..=EDITS {
        step(&proxy, &load, &mut releases, &mut retired, edit);
        let due = SPAN * u32::try_from(edit).expect("few") / u32::try_from(EDITS).expect("few");
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    let requests = load.requests();
    let _until_newcomers_left: Vec<_> = releases.into_iter().map(Release::retire).collect();
    load.finish();
    assert!(requests > 2000, "{requests} requests are no load");
    assert_eq!(proxy.metrics().sum("lockstep_config_reload_total", &[("result", "error")]), 0.0);
    assert!(proxy.reloads() >= EDITS as f64, "{} reloads", proxy.reloads());
}

fn settle(load: &Load, release: &mut Release) {
    release.visitors.push(load.pinned(&release.id));
    release.visitors.push(load.patient(&release.id, "/stream", STREAM_BYTES));
}

/// Every third edit brings a version, some of the others promote an old one, and the oldest goes.
fn step(proxy: &Lockstep, load: &Load, releases: &mut Vec<Release>, retired: &mut Vec<Release>, edit: usize) {
    let mut adopted = None;
    match edit % 3 {
        1 => {
            let number = releases.len() + retired.len() + 1;
            releases.push(Release::new(number));
            adopted = releases.last().map(|release| release.id.clone());
        }
        2 if releases.len() > ALIVE => retired.push(releases.remove(0).retire()),
        _ => promote(proxy, releases, edit),
    }
    proxy.reload(&config(releases, edit));
    if let Some(id) = adopted {
        until("the new version is active", || proxy.active("shop").as_deref() == Some(id.as_str()));
        proxy.serves(&id);
        settle(load, releases.last_mut().expect("the new one"));
    }
}

/// Makes the version before the newest active, or the newest again.
fn promote(proxy: &Lockstep, releases: &[Release], edit: usize) {
    let nth = if edit.is_multiple_of(2) { 1 } else { 2 };
    if let Some(release) = releases.len().checked_sub(nth).and_then(|index| releases.get(index)) {
        let answer = proxy.operate(&format!("apps/shop/versions/{}/promote", release.id));
        let already = answer.status() == 409 && proxy.active("shop").as_deref() == Some(release.id.as_str());
        assert!(answer.status() < 300 || already, "{answer:?}");
        until("it is active", || proxy.active("shop").as_deref() == Some(release.id.as_str()));
    }
}
