use super::*;

fn election(name: &str) -> Election {
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let identity = Identity {
        name: name.to_owned(),
        namespace: "lockstep".to_owned(),
        pod_uid: None,
        process: "1".to_owned(),
    };
    let times = LeaseTimes { duration: Duration::from_secs(15), renew: Duration::from_secs(5) };
    Election::new(Client::try_from(config).unwrap(), identity, times, Troubles::default()).0
}

fn held_by(holder: Option<&str>, revision: &str) -> Lease {
    Lease {
        metadata: ObjectMeta { resource_version: Some(revision.to_owned()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_over_when_it_was_not_seen_to_change() {
    let mut election = election("a");
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(election.judge(&held_by(None, "1"), start), Move::Take);
    assert_eq!(election.judge(&held_by(Some("a_1"), "1"), start), Move::Renew);
    assert_eq!(election.judge(&held_by(Some("b_1"), "2"), at(0)), Move::Wait);
    assert_eq!(election.judge(&held_by(Some("b_1"), "2"), at(15)), Move::Wait);
    assert_eq!(election.judge(&held_by(Some("b_1"), "3"), at(16)), Move::Wait, "it was renewed");
    assert_eq!(election.judge(&held_by(Some("b_1"), "3"), at(31)), Move::Wait);
    assert_eq!(election.judge(&held_by(Some("b_1"), "3"), at(32)), Move::Take);
    assert_eq!(election.judge(&held_by(Some("a_0"), "4"), at(33)), Move::Wait, "an earlier process");
}

#[tokio::test(start_paused = true)]
async fn a_term_ends_before_others_may_take_the_lease() {
    let election = election("a");
    let term = election.term.subscribe();
    let started = Instant::now();
    election.publish(Some(started));
    let first = (*term.borrow()).unwrap();
    assert!(first.until < started + Duration::from_secs(15));
    sleep(Duration::from_secs(5)).await;
    election.publish(Some(Instant::now()));
    let renewed = (*term.borrow()).unwrap();
    assert_eq!(renewed.since, first.since, "the same term");
    assert!(renewed.until > first.until);
    election.lapse();
    assert!(term.borrow().is_some(), "one failure ends nothing");
    sleep(Duration::from_secs(11)).await;
    assert!(!renewed.lasts(Instant::now()));
    election.lapse();
    assert!(term.borrow().is_none());
    election.publish(Some(Instant::now()));
    assert!((*term.borrow()).unwrap().since > renewed.since, "a new term");
}
