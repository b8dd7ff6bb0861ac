//! An API server that stands still, is killed, loses its database, forgets, or answers 409.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use lockstep_tests::kube::{Api, Fleet, lab};
use lockstep_tests::load::Load;
use lockstep_tests::poll::within;
use lockstep_tests::until;
use serde_json::json;

use crate::{ended_once, shop, skew};

/// How long the API server stands still.
const STILL: Duration = Duration::from_secs(60);
/// The pause of somebody who writes all the time.
const PACE: Duration = Duration::from_millis(15);

#[test]
fn an_api_server_that_stands_still_harms_nobody() {
    lab("api::an_api_server_that_stands_still_harms_nobody", |cluster| {
        let vapp = cluster.vapp("web", "shop");
        cluster.deploy_ready(&shop("v1").replicas(2));
        let fleet = Fleet::start(cluster, 2, &skew());
        vapp.expect("v1=active");
        fleet.serves("v1");
        let mut load = Load::new(fleet.doors(&[0, 1]));
        load.newcomers(2);
        let pinned = load.pinned("v1");
        cluster.deploy_ready(&shop("v2").replicas(2));
        vapp.expect("v1=draining v2=active");
        fleet.serves("v2");

        cluster.control_plane.pause_api_server();
        let begun = Instant::now();
        let blind = |index: usize| {
            let status = fleet.replica(index).api("status");
            status["snapshot_stale"] == true && status["degraded"] == true
        };
        let noticed = within(STILL, || (blind(0) && blind(1)).then_some(()));
        assert!(noticed.is_some(), "{}", fleet.replica(0).api("status"));
        // The last visitor leaves: it would be over soon, if anybody could see it.
        pinned.leave();
        let ready = || [0, 1].iter().all(|index| fleet.replica(*index).readiness() == 200);
        let unready = within(STILL.saturating_sub(begun.elapsed()), || (!ready()).then_some(()));
        assert!(unready.is_none(), "blind is not unready");
        // Before it goes on, or what happens at once seems to have begun earlier.
        let resumed = Timestamp::now();
        cluster.control_plane.resume_api_server();
        until("the API server answers", || cluster.admin().get("/readyz").is_ok());
        until("nobody is blind", || !blind(0) && !blind(1));

        vapp.expect("v1=expired v2=active");
        ended_once(cluster, &vapp, "v1");
        let window = vapp.came_to("v1", "expiring").duration_since(resumed);
        assert!(window.as_secs_f64() >= 2.0, "a whole window was watched since: {window:?}");
        assert_eq!(vapp.transitions("v2"), ["staged", "pending", "active"], "nothing flapped");
        assert!(load.finish() > 1000);
    });
}

#[test]
fn what_was_missed_is_listed_again() {
    lab("api::what_was_missed_is_listed_again", |cluster| {
        let vapp = cluster.vapp("web", "shop");
        cluster.deploy_ready(&shop("v1").replicas(2));
        let mut fleet = Fleet::start(cluster, 2, &skew());
        vapp.expect("v1=active");
        fleet.serves("v1");
        let mut load = Load::new(fleet.doors(&[0, 1]));
        load.newcomers(2);
        load.keep(load.pinned("v1"));
        let leader = fleet.leader();
        let cut_off = 1 - leader;

        // One replica is cut off, and what it missed is forgotten: its watches are answered with 410.
        fleet.replicas[cut_off].api.cut();
        cluster.deploy_ready(&shop("v2").replicas(2));
        vapp.expect("v1=active v2=pending");
        cluster.control_plane.compact();
        cluster.control_plane.kill_api_server();
        cluster.control_plane.start_api_server();
        fleet.replicas[cut_off].api.restore();
        vapp.expect("v1=draining v2=active");
        fleet.serves("v2");

        cluster.control_plane.restart_etcd();
        cluster.deploy_ready(&shop("v3").replicas(2));
        vapp.expect_state("v3", "active");
        vapp.expect_state("v2", "expired");
        fleet.serves("v3");
        assert_eq!(vapp.transitions("v1"), ["staged", "pending", "active", "draining"]);
        ended_once(cluster, &vapp, "v2");
        assert!(load.finish() > 1000);

        // A replica starts together with the API server, which at first knows nobody's rights and no VersionedApps,
        // while a version waits: what was kept is routed until its state is seen.
        let replica = fleet.leader();
        let other = 1 - replica;
        fleet.replicas[other].api.cut();
        cluster.deploy_ready(&shop("v4").replicas(2));
        vapp.expect_state("v4", "pending");
        cluster.control_plane.kill_api_server();
        fleet.kill(replica);
        fleet.run(replica);
        let mut load = Load::new(fleet.doors(&[0, 1]));
        load.newcomers(2);
        load.keep(load.pinned("v3"));
        cluster.control_plane.start_api_server();
        let sees = || fleet.replica(replica).api("status")["snapshot_stale"] == false;
        assert!(within(STILL, || sees().then_some(())).is_some(), "the API is seen again");
        vapp.expect_state("v4", "pending");
        fleet.replicas[other].api.restore();
        vapp.expect_state("v4", "active");
        fleet.serves("v4");
        load.finish();
    });
}

#[test]
fn somebody_who_writes_all_the_time_holds_nothing_up() {
    lab("api::somebody_who_writes_all_the_time_holds_nothing_up", |cluster| {
        let vapp = cluster.vapp("web", "shop");
        cluster.deploy_ready(&shop("v1"));
        let fleet = Fleet::start(cluster, 2, &skew());
        vapp.expect("v1=active");
        fleet.serves("v1");
        let ended = AtomicBool::new(false);
        let rivals = [vapp.path(), format!("{}/status", vapp.path()), shop("v1").path()];
        std::thread::scope(|scope| {
            for path in &rivals {
                scope.spawn(|| write_until(&ended, cluster.admin(), path));
            }
            let _end = End(&ended);
            cluster.deploy_ready(&shop("v2"));
            vapp.expect("v1=expired v2=active");
        });
        ended_once(cluster, &vapp, "v1");
        assert_eq!(vapp.transitions("v2"), ["staged", "pending", "active"]);
        fleet.serves("v2");
    });
}

/// Ends those who write, however the test ends.
struct End<'e>(&'e AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Writes something of its own into an object, so that its resourceVersion is always another.
fn write_until(ended: &AtomicBool, api: &Api, path: &str) {
    let mut count = 0_u64;
    while !ended.load(Ordering::Acquire) {
        count += 1;
        let condition = json!([{
            "type": "Rival", "status": "True", "reason": "Rival", "message": count.to_string(),
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        let patch = if path.ends_with("/status") {
            json!({"status": {"conditions": condition}})
        } else {
            // Annotations of a Deployment count as a change of it; labels do not.
            json!({"metadata": {"labels": {"rival": count.to_string()}}})
        };
        // One of the rivals may be in the way of another.
        let _conflict = api.patch(path, &patch);
        std::thread::sleep(PACE);
    }
}
