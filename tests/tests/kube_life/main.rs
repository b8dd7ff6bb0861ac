//! The life of versions in a real cluster, with the real binary and the manifests that ship: from the first
//! version to its end and back, with visitors all the while.

mod bad;
mod ends;
mod guide;
mod observed;
mod people;
mod town;

use lockstep_tests::HOST;
use lockstep_tests::kube::{Cluster, in_namespace, lab};
use lockstep_tests::load::Load;
use serde_json::json;

use town::Town;

/// What happens to apps of a town.
type Story = fn(&Town<'_>);

#[test]
fn the_example_lives_as_the_guide_says() {
    lab("the_example_lives_as_the_guide_says", guide::walk);
}

#[test]
fn what_is_wrong_is_said_and_all_else_goes_on() {
    lab("what_is_wrong_is_said_and_all_else_goes_on", |cluster| {
        let town = Town::found(cluster);
        let calm = town.app("calm", &json!({"hosts": [HOST, "calm.test"], "grace": "1h"}));
        calm.release(&["v1", "v2"]);
        let addr = town.instance.addr();
        let mut load = Load::new(move || addr);
        let visitor = load.pinned("v1");
        load.keep(visitor);
        load.newcomers(1);
        at_once(&town, &[bad::objects, bad::routes, bad::never_ready, bad::edits, bad::a_status_by_hand]);
        bad::permissions(&town);
        load.finish();
        town.is_well();
    });
}

#[test]
fn a_replica_that_only_observes() {
    in_namespace("a_replica_that_only_observes", || {
        let cluster = Cluster::start_with(observed::server);
        observed::observe(&cluster);
    });
}

#[test]
fn labels_route_while_the_definition_is_missing() {
    lab("labels_route_while_the_definition_is_missing", bad::the_definition_is_missing);
}

/// Each has an app of its own, so that all of them go on at the same time.
#[test]
fn versions_end_and_come_back_in_every_way() {
    lab("versions_end_and_come_back_in_every_way", |cluster| {
        let town = Town::found(cluster);
        let stories: [Story; 8] = [
            people::approve_and_reject,
            people::try_a_canary_by_spec,
            people::expire_at_once,
            ends::brought_back_by_others,
            ends::an_active_deployment_is_deleted,
            ends::deleted_in_the_end,
            ends::a_webhook_has_a_say,
            ends::advice_is_taken,
        ];
        at_once(&town, &stories);
        town.is_well();
    });
}

fn at_once(town: &Town<'_>, stories: &[Story]) {
    std::thread::scope(|scope| {
        for story in stories {
            scope.spawn(move || story(town));
        }
    });
}
