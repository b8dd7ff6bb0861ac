use super::*;
use crate::config::ai::model::RetryOn;

fn policy() -> Retry {
    Retry {
        per_target: 2,
        total: 5,
        on: RetryOn {
            connect: true,
            reset: true,
            timeout: true,
            statuses: [408, 409, 429].into(),
            server_errors: true,
        },
        base: Duration::from_millis(200),
        max: Duration::from_secs(5),
        wait: Duration::from_secs(5),
    }
}

fn refused(status: u16, meaning: Meaning, retry_after: Option<u64>) -> Failure {
    Failure::Refused(Refusal { status, meaning, retry_after: retry_after.map(Duration::from_secs) })
}

/// Targets 0, 1, 2 with windows of 10, none and 100; the steps that follow on the same failure.
fn steps(failure: &Failure, policy: &Retry, callers_key: bool, left: Option<u64>) -> Vec<Step> {
    let windows = [Some(10), None, Some(100)];
    let mut course = Course::new(windows.into_iter().enumerate(), [], policy, callers_key).unwrap();
    let mut steps = Vec::new();
    loop {
        course.asked();
        let step = course.after(failure, left.map(Duration::from_millis), 1.0);
        steps.push(step);
        assert!(steps.len() < 20, "{steps:?}");
        let Step::Ask(target, _) = step else { return steps };
        assert_eq!(target, course.target());
    }
}

fn ask(target: usize, wait: u64) -> Step {
    Step::Ask(target, Duration::from_millis(wait))
}

#[test]
fn the_table_of_the_design() {
    use Meaning as M;
    let twice_each = vec![ask(0, 200), ask(1, 0), ask(1, 200), ask(2, 0)];
    let with = |last| [twice_each.clone(), vec![last]].concat();
    let once_each = |last| vec![ask(1, 0), ask(2, 0), last];
    let cases = [
        (Failure::Connect, with(Step::Fail(Fault::Unreachable))),
        (Failure::Reset, with(Step::Fail(Fault::Broken))),
        (refused(500, M::Unable, None), with(Step::Relay)),
        (refused(409, M::Unable, None), with(Step::Relay)),
        (refused(429, M::RateLimited, None), with(Step::Relay)),
        (
            refused(429, M::RateLimited, Some(1)),
            vec![ask(0, 1000), ask(1, 0), ask(1, 1000), ask(2, 0), Step::Relay],
        ),
        (
            refused(503, M::Unable, Some(5)),
            vec![ask(0, 5000), ask(1, 0), ask(1, 5000), ask(2, 0), Step::Relay],
        ),
        (refused(429, M::RateLimited, Some(6)), once_each(Step::Relay)),
        (refused(429, M::QuotaSpent, None), once_each(Step::Relay)),
        (refused(402, M::QuotaSpent, None), once_each(Step::Relay)),
        (Failure::Timeout, once_each(Step::Fail(Fault::TimedOut))),
        (Failure::CallerTimeout, vec![Step::Fail(Fault::TimedOut)]),
        (Failure::Malformed, once_each(Step::Fail(Fault::Malformed))),
        (refused(400, M::Invalid, None), vec![Step::Relay]),
        (refused(400, M::ContentRejected, None), vec![Step::Relay]),
        (refused(404, M::Other, None), vec![Step::Relay]),
        (refused(400, M::ContextLength, None), vec![ask(2, 0), Step::Relay]),
        (refused(401, M::Credentials, None), once_each(Step::Fail(Fault::Credentials))),
        (refused(404, M::UnknownModel, None), once_each(Step::Fail(Fault::UnknownModel))),
    ];
    for (failure, expected) in cases {
        assert_eq!(steps(&failure, &policy(), false, None), expected, "{failure:?}");
    }
}

#[test]
fn only_what_is_the_targets_fault_counts() {
    let cases = [
        (Failure::Timeout, [true, true]),
        (Failure::CallerTimeout, [false, false]),
        (refused(408, Meaning::Unable, None), [true, true]),
        (refused(409, Meaning::Unable, None), [false, false]),
        (refused(400, Meaning::Invalid, None), [false, false]),
        // What is said of one caller's key says nothing of those that others have.
        (refused(401, Meaning::Credentials, None), [true, false]),
        (refused(429, Meaning::RateLimited, None), [true, false]),
        (refused(429, Meaning::QuotaSpent, None), [true, false]),
    ];
    for (failure, counts) in cases {
        assert_eq!([false, true].map(|callers_key| failure.counts(callers_key)), counts, "{failure:?}");
    }
}

#[test]
fn a_callers_own_key_is_the_callers_own_business() {
    for failure in [refused(401, Meaning::Credentials, None), refused(404, Meaning::UnknownModel, None)] {
        assert_eq!(steps(&failure, &policy(), true, None), [Step::Relay], "{failure:?}");
    }
}

#[test]
fn what_is_not_listed_is_not_tried_again() {
    let policy = Retry { on: RetryOn { statuses: [429].into(), ..RetryOn::default() }, ..policy() };
    let cases = [
        (Failure::Connect, Step::Fail(Fault::Unreachable)),
        (Failure::Timeout, Step::Fail(Fault::TimedOut)),
        (refused(500, Meaning::Unable, None), Step::Relay),
        (refused(503, Meaning::Unable, Some(1)), Step::Relay),
    ];
    for (failure, expected) in cases {
        assert_eq!(steps(&failure, &policy, false, None), [expected], "{failure:?}");
    }
}

#[test]
fn what_is_listed_is_tried_again() {
    let policy = Retry { on: RetryOn { statuses: [400, 404].into(), ..RetryOn::default() }, ..policy() };
    for failure in [refused(400, Meaning::Invalid, None), refused(404, Meaning::Other, None)] {
        let expected = [ask(0, 200), ask(1, 0), ask(1, 200), ask(2, 0), Step::Relay];
        assert_eq!(steps(&failure, &policy, false, None), expected, "{failure:?}");
    }
    // Nobody routes around a safety decision.
    assert_eq!(steps(&refused(400, Meaning::ContentRejected, None), &policy, false, None), [Step::Relay]);
}

#[test]
fn a_wait_that_does_not_fit_is_not_begun() {
    let failure = refused(429, Meaning::RateLimited, Some(1));
    assert_eq!(steps(&failure, &policy(), false, Some(900)), [ask(1, 0), ask(2, 0), Step::Relay]);
}

#[test]
fn the_backoff_doubles_up_to_its_limit() {
    let policy = Retry { per_target: 20, total: 20, max: Duration::from_secs(1), ..policy() };
    let mut course = Course::new([(0, None)], [], &policy, false).unwrap();
    let mut waits = Vec::new();
    for _ in 0..5 {
        course.asked();
        let Step::Ask(_, wait) = course.after(&Failure::Reset, None, 0.0) else { panic!("ends") };
        waits.push(wait.as_millis());
    }
    assert_eq!(waits, [100, 200, 400, 500, 500]);
}

#[test]
fn a_target_that_is_probed_by_another_request_is_left_alone() {
    let policy = policy();
    let mut course = Course::new([(4, None), (7, None)], [], &policy, false).unwrap();
    assert_eq!((course.target(), course.is_forced()), (4, false));
    course.leave_alone();
    assert_eq!((course.target(), course.is_forced()), (7, false));
    // Nobody else is there.
    course.leave_alone();
    assert_eq!((course.target(), course.is_forced()), (4, true));
}

#[test]
fn targets_that_are_left_alone_are_asked_where_no_other_can_be() {
    let policy = policy();
    let course = || Course::new([(1, None)], [(4, None), (7, None)], &policy, false).unwrap();
    let mut able = course();
    able.asked();
    assert_eq!(able.after(&Failure::Timeout, None, 0.0), Step::Fail(Fault::TimedOut));
    let mut unable = course();
    assert_eq!((unable.skip(), unable.is_forced()), (Some(4), true));
    unable.asked();
    assert_eq!(unable.after(&Failure::Timeout, None, 0.0), Step::Fail(Fault::TimedOut));
    let mut unable = course();
    assert_eq!([unable.skip(), unable.skip(), unable.skip()], [Some(4), Some(7), None]);
}
