//! Every fault of a provider under every strategy: what the caller sees of it, and who is asked how
//! often. See the table of section 6 of the design.

use std::time::Duration;

use lockstep_tests::faults::{Row, Seen, Strategy, Table};
use lockstep_tests::gateway::{Gateway, gateway};
use lockstep_tests::provider::CONTENT;
use lockstep_tests::{Provider, until};

/// Faults that are cured before the first byte, with another target to turn to: plain and streamed
/// calls alike.
const CURED: [Row; 32] = [
    Row::new("ok", 200, "", [1, 0]),
    // Again after backoff, then the next target.
    Row::new("429", 200, "", [2, 1]),
    Row::new("500", 200, "", [2, 1]),
    Row::new("502", 200, "", [2, 1]),
    Row::new("529", 200, "", [2, 1]),
    Row::new("408", 200, "", [2, 1]),
    Row::new("409", 200, "", [2, 1]),
    Row::new("html", 200, "", [2, 1]),
    Row::new("reset", 200, "", [2, 1]),
    Row::new("close", 200, "", [2, 1]),
    Row::new("error-first", 200, "", [2, 1]),
    Row::new("error-first-429", 200, "", [2, 1]),
    // Passing faults.
    Row::new("500-once", 200, "", [2, 0]),
    Row::new("flapping", 200, "", [2, 0]),
    Row::new("reset-once", 200, "", [2, 0]),
    Row::new("error-first-once", 200, "", [2, 0]),
    // Waited for, or not.
    Row::new("429-after-ms-300", 200, "", [2, 1]),
    Row::new("503-after-ms-300", 200, "", [2, 1]),
    Row::new("429-after-1-once", 200, "", [2, 0]),
    Row::new("429-after-date-2-once", 200, "", [2, 0]),
    Row::new("429-after-200", 200, "", [1, 1]),
    // Not again for this request.
    Row::new("silence", 200, "", [1, 1]),
    Row::new("headers-silence", 200, "", [1, 1]),
    Row::new("quota", 200, "", [1, 1]),
    // The operator's fault.
    Row::new("401", 200, "", [1, 1]),
    Row::new("403", 200, "", [1, 1]),
    Row::new("unknown-model", 200, "", [1, 1]),
    Row::new("unknown-deployment", 200, "", [1, 1]),
    // The request's fault: final.
    Row::new("400", 400, "none", [1, 0]),
    Row::new("422", 422, "none", [1, 0]),
    Row::new("content-filter", 400, "content_filter", [1, 0]),
    Row::new("context-length", 400, "context_length_exceeded", [1, 0]),
];

/// The same without another target.
const ALONE: [Row; 18] = [
    Row::new("429", 429, "rate_limit_exceeded", [2, 0]),
    Row::new("429-after-200", 429, "rate_limit_exceeded", [1, 0]),
    Row::new("quota", 429, "insufficient_quota", [1, 0]),
    Row::new("500", 500, "none", [2, 0]),
    Row::new("503-after-ms-50", 503, "none", [2, 0]),
    Row::new("html", 502, "none", [2, 0]),
    Row::new("reset", 502, "upstream_failed", [2, 0]),
    Row::new("close", 502, "upstream_failed", [2, 0]),
    Row::new("silence", 504, "upstream_timeout", [1, 0]),
    Row::new("headers-silence", 504, "upstream_timeout", [1, 0]),
    Row::new("not-json", 502, "upstream_malformed", [1, 0]),
    Row::new("error-first", 500, "none", [2, 0]),
    Row::new("error-first-429", 429, "rate_limit_exceeded", [2, 0]),
    Row::new("401", 502, "provider_auth_failed", [1, 0]),
    Row::new("403", 502, "provider_auth_failed", [1, 0]),
    Row::new("unknown-model", 404, "model_not_found", [1, 0]),
    Row::new("unknown-deployment", 404, "model_not_found", [1, 0]),
    Row::new("400", 400, "none", [1, 0]),
];

/// What only plain answers can have.
const PLAIN: [Row; 14] = [
    Row::new("cut", 200, "", [2, 1]),
    Row::new("cut-reset", 200, "", [2, 1]),
    Row::new("cut-once", 200, "", [2, 0]),
    Row::new("too-short", 200, "", [2, 1]),
    Row::new("stall", 200, "", [1, 1]),
    Row::new("malformed", 200, "", [1, 1]),
    Row::new("not-json", 200, "", [1, 1]),
    Row::new("too-long", 200, "", [1, 1]),
    Row::new("wrong-type", 200, "", [1, 0]),
    Row::new("drip", 200, "", [1, 0]),
    Row::new("slow-first-200", 200, "", [1, 0]),
    Row::new("huge-1", 200, "", [1, 0]),
    Row::new("large-3", 200, "", [1, 0]),
    Row::new("gzip", 200, "", [1, 0]),
];

/// What only streams can have.
const STREAMS: [Row; 20] = [
    // Nothing was delivered yet.
    Row::new("not-json", 200, "", [1, 1]),
    Row::new("wrong-type", 200, "", [1, 1]),
    // Whole, one way or another.
    Row::new("drip", 200, "", [1, 0]),
    Row::new("slow-first-200", 200, "", [1, 0]),
    Row::new("paced-20", 200, "", [1, 0]),
    Row::new("huge-1", 200, "", [1, 0]),
    Row::new("large-3", 200, "", [1, 0]),
    Row::new("malformed", 200, "", [1, 0]),
    Row::new("no-done", 200, "", [1, 0]),
    Row::new("no-done-silent", 200, "", [1, 0]),
    Row::new("too-short", 200, "", [1, 0]),
    Row::new("too-long", 200, "", [1, 0]),
    Row::new("usage-always", 200, "", [1, 0]),
    Row::new("usage-never", 200, "", [1, 0]),
    Row::new("paced-20-odd", 200, "", [1, 0]),
    // Broken: nobody else is asked.
    Row::new("cut", 200, "upstream_failed", [1, 0]),
    Row::new("cut-reset", 200, "upstream_failed", [1, 0]),
    Row::new("no-finish", 200, "upstream_failed", [1, 0]),
    Row::new("stall", 200, "upstream_timeout", [1, 0]),
    Row::new("error-mid", 200, "none", [1, 0]),
];

fn each(rows: &[Row], strategy: Strategy, streamed: bool, check: impl Fn(&Row, &Seen)) {
    run(&Table::start(rows, strategy, |gateway| gateway), rows, strategy, streamed, check);
}

/// The same with HTTP/2 to the providers.
fn each_over_http2(rows: &[Row], strategy: Strategy, streamed: bool, check: impl Fn(&Row, &Seen)) {
    let over_http2 = |gateway: Gateway| {
        (0..rows.len())
            .fold(gateway, |gateway, index| gateway.set(&format!("providers.a{index}.http2"), true))
    };
    run(&Table::start(rows, strategy, over_http2), rows, strategy, streamed, check);
}

fn run(table: &Table, rows: &[Row], strategy: Strategy, streamed: bool, check: impl Fn(&Row, &Seen)) {
    for (index, row) in rows.iter().enumerate() {
        let seen = table.call(index, streamed);
        seen.check(row, &(strategy, streamed));
        check(row, &seen);
    }
}

fn waited_for(row: &Row, seen: &Seen) {
    let wait = match row.fault {
        "429-after-ms-300" | "503-after-ms-300" => Duration::from_millis(300),
        // A date has whole seconds.
        "429-after-1-once" | "429-after-date-2-once" => Duration::from_secs(1),
        "silence" | "headers-silence" => Duration::from_millis(600),
        _ => Duration::ZERO,
    };
    assert!(seen.took >= wait, "{row:?}: {:?}", seen.took);
}

fn is_right(row: &Row, seen: &Seen, streamed: bool) {
    waited_for(row, seen);
    if row.status != 200 {
        return;
    }
    if streamed {
        assert!(seen.stream.is_done() && seen.stream.said() == CONTENT, "{row:?}: {seen:?}");
    } else {
        assert_eq!(seen.stream.message.json()["choices"][0]["message"]["content"], CONTENT, "{row:?}");
    }
}

fn cured(strategy: Strategy, streamed: bool) {
    each(&CURED, strategy, streamed, |row, seen| is_right(row, seen, streamed));
}

#[test]
fn calls_are_cured_over_http2() {
    for streamed in [false, true] {
        each_over_http2(&CURED, Strategy::Priority, streamed, |row, seen| is_right(row, seen, streamed));
    }
}

#[test]
fn plain_calls_are_cured_by_priority() {
    cured(Strategy::Priority, false);
}

#[test]
fn plain_calls_are_cured_by_weights() {
    cured(Strategy::Weighted, false);
}

#[test]
fn streams_are_cured_by_priority() {
    cured(Strategy::Priority, true);
}

#[test]
fn streams_are_cured_by_weights() {
    cured(Strategy::Weighted, true);
}

fn alone(streamed: bool) {
    each(&ALONE, Strategy::Alone, streamed, |row, seen| {
        let header = |name| seen.stream.message.header(name);
        let again = matches!(row.status, 408 | 409 | 429 | 500..).then_some("false");
        assert_eq!(header("x-should-retry"), again, "{row:?}: {seen:?}");
        // SDKs sleep for as long as they are told.
        let wait = match row.fault {
            "429-after-200" => Some("60"),
            "503-after-ms-50" => Some("1"),
            _ => None,
        };
        assert_eq!(header("retry-after"), wait, "{row:?}: {seen:?}");
        let text = seen.stream.message.text();
        assert!(!text.contains("secret-upstream-name"), "{text}");
        assert!(row.code != "provider_auth_failed" || !text.contains("upstream-secret"), "{text}");
    });
}

#[test]
fn what_is_left_of_plain_calls_is_told() {
    alone(false);
}

#[test]
fn what_is_left_of_streams_is_told() {
    alone(true);
}

fn plain(strategy: Strategy) {
    each(&PLAIN, strategy, false, |row, seen| {
        let message = &seen.stream.message;
        if row.fault == "gzip" {
            assert_eq!(message.header("content-encoding"), Some("gzip"));
            return;
        }
        let said = message.json()["choices"][0]["message"]["content"].clone();
        let size = match row.fault {
            "huge-1" => 1 << 20,
            "large-3" => 3 << 20,
            _ => return assert_eq!(said, CONTENT, "{row:?}"),
        };
        assert_eq!(said.as_str().map(str::len), Some(size), "{row:?}");
    });
}

#[test]
fn broken_plain_answers_by_priority() {
    plain(Strategy::Priority);
}

#[test]
fn broken_plain_answers_by_weights() {
    plain(Strategy::Weighted);
}

fn streams(strategy: Strategy) {
    each(&STREAMS, strategy, true, has_its_end);
}

#[test]
fn broken_streams_over_http2() {
    // Wrong lengths are errors of the protocol there (RFC 9113, 8.1.1), which clients find at once.
    let rows: Vec<_> = STREAMS.into_iter().filter(|row| !row.fault.starts_with("too-")).collect();
    each_over_http2(&rows, Strategy::Priority, true, has_its_end);
}

fn has_its_end(row: &Row, seen: &Seen) {
    let stream = &seen.stream;
    let said = stream.said();
    if row.code.is_empty() {
        assert!(stream.is_done(), "{row:?}: {stream:?}");
        let size = match row.fault {
            "huge-1" => 1 << 20,
            "large-3" => 3 << 20,
            _ => return assert_eq!(said, CONTENT, "{row:?}"),
        };
        assert_eq!(said.len(), size, "{row:?}");
    } else {
        // A truncated answer never looks whole.
        assert!(stream.cut && !stream.message.text().contains("[DONE]"), "{row:?}: {stream:?}");
        assert!(CONTENT.starts_with(&said) && !said.is_empty() && said != CONTENT, "{row:?}: {said:?}");
        assert!(stream.data().last().is_some_and(|last| last.starts_with("{\"error\"")), "{stream:?}");
    }
    let usages = stream.events().iter().filter(|event| event.get("usage").is_some()).count();
    assert_eq!(usages, 0, "nobody asked for it: {row:?}: {stream:?}");
}

#[test]
fn broken_streams_by_priority() {
    streams(Strategy::Priority);
}

#[test]
fn broken_streams_by_weights() {
    streams(Strategy::Weighted);
}

#[test]
fn what_only_the_operator_can_mend_is_a_problem_until_it_is_mended() {
    let provider = Provider::start("a");
    let section = gateway(&[("a", &provider)]).model("m", &[("a", "401")]);
    let running = section.start();
    let problems = || running.proxy.api("problems").to_string();
    assert_eq!(running.chat("m").status(), 502);
    until("it is told", || problems().contains("ai.models.m: provider a refuses the credentials"));
    assert_eq!(running.proxy.api("status")["status"], "degraded");
    // A caller who asks for what nobody has is no fault of the operator's.
    let unknown = section.model("m", &[("a", "ok")]).model("other", &[("a", "unknown-model")]);
    running.proxy.reload(&unknown.config());
    until("another target, another state", || !problems().contains("ai.models.m"));
    assert_eq!(running.chat("other").status(), 404);
    until("its name is wrong", || problems().contains("provider a refuses the name of the model"));
}
