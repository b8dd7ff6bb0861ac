//! More than fits: what is refused is refused at once and clearly, memory stays bounded, and the
//! counts add up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lockstep_tests::gateway::{gateway, keyed, post};
use lockstep_tests::{Client, Provider, long, until};
use serde_json::json;

const CALLERS: usize = 64;
const PROMPT: usize = 200 << 10;
/// Unless `LOCKSTEP_OVERLOAD_SECONDS` says otherwise.
const SECONDS: usize = 4;

#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    full: AtomicUsize,
    limited: AtomicUsize,
}

#[test]
fn what_does_not_fit_is_refused_at_once() {
    let provider = Provider::start("a");
    // Eight long prompts fit, and twenty-four calls: of as many long as short ones, twelve are long.
    let proxy = gateway(&[("a", &provider)])
        .set("limits", json!({"body_bytes": "1MiB", "buffered": "1700KiB"}))
        .set("keys.0.limits", json!({"concurrent": 24}))
        .start();
    let asking = |length: usize| {
        let text = "x".repeat(length);
        let body = json!({"model": "slow-first-100", "messages": [{"role": "user", "content": text}]});
        keyed(&post("/v1/chat/completions", &body))
    };
    let requests = [asking(PROMPT), asking(100)];
    let before = proxy.resident();
    let counts = Counts::default();
    let until_then = Instant::now() + Duration::from_secs(long("LOCKSTEP_OVERLOAD_SECONDS", SECONDS) as u64);
    std::thread::scope(|scope| {
        for request in requests.iter().cycle().take(CALLERS) {
            let (proxy, counts) = (&proxy, &counts);
            scope.spawn(move || {
                let mut client = Client::connect(proxy.addr());
                while Instant::now() < until_then {
                    let answer = client.exchange(request).expect("an answer to every call");
                    let code = answer.json()["error"]["code"].as_str().map(str::to_owned);
                    let count = match (answer.status(), code.as_deref()) {
                        (200, _) => &counts.answered,
                        (503, Some("overloaded")) => &counts.full,
                        (429, Some("rate_limit_exceeded")) => &counts.limited,
                        _ => panic!("{answer:?}"),
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    if answer.status() != 200 {
                        assert!(answer.header("retry-after-ms").is_some(), "{answer:?}");
                        assert_ne!(answer.header("x-should-retry"), Some("false"), "{answer:?}");
                        if answer.header("connection") == Some("close") {
                            client = Client::connect(proxy.addr());
                        }
                    }
                }
            });
        }
    });
    let [answered, full, limited] =
        [&counts.answered, &counts.full, &counts.limited].map(|count| count.load(Ordering::Relaxed));
    assert!(answered > 0 && full > 0 && limited > 0, "{answered} {full} {limited}");
    assert_eq!(provider.count(), answered, "who is refused asks nobody");
    let grown = proxy.resident().saturating_sub(before);
    assert!(grown < 96 << 20, "{} MiB", grown >> 20);
    let sum = |name: &str, labels: &[(&str, &str)]| {
        proxy.proxy.metrics().sum(&format!("lockstep_ai_{name}"), labels)
    };
    until("all are counted", || sum("requests_total", &[("outcome", "complete")]) == answered as f64);
    assert_eq!(sum("refused_total", &[("code", "overloaded")]), full as f64);
    assert_eq!(sum("refused_total", &[("code", "rate_limit_exceeded")]), limited as f64);
    until("nothing is left", || sum("in_flight", &[]) == 0.0 && sum("buffered_bytes", &[]) == 0.0);
}
