//! Retries, timeouts and aborts.

use std::time::Duration;

use serde_json::json;

use super::{Stage, ways};
use crate::gateway::{chat_stream, keyed};
use crate::provider::{CONTENT, Ending};
use crate::raw::Client;
use crate::sdk::Sdk;
use crate::until;

/// What the gateway tried often enough, SDKs do not multiply.
///
/// # Panics
/// If they do.
pub fn spent_attempts(sdk: &Sdk, stage: &Stage) {
    for (model, attempts) in [("500", 2), ("html", 2), ("429-after-200", 1), ("401", 1)] {
        stage.provider.forget();
        let told = sdk.run(&stage.chat(model).client("max_retries", 3));
        assert!(told.is("APIError"), "{model}: {told:?}");
        assert_eq!(stage.provider.count(), attempts, "{model}");
        let counts: Vec<_> = stage
            .provider
            .calls()
            .iter()
            .map(|call| call.header("x-stainless-retry-count").map(str::to_owned))
            .collect();
        assert!(counts.iter().all(|count| count.as_deref() == Some("0")), "{model}: {counts:?}");
    }
    stage.provider.forget();
    let told = sdk.run(&stage.chat("500-once").client("max_retries", 3));
    assert_eq!(told.value()["choices"][0]["message"]["content"], CONTENT);
    assert_eq!(stage.provider.count(), 2);
}

/// A refusal that passes is tried again by the SDK after the wait that it was told, and the provider
/// sees which try it is. The key may run one request at once.
///
/// # Panics
/// If not.
pub fn retries(sdk: &Sdk, stage: &Stage) {
    let mut holder = Client::connect(stage.gateway.addr());
    holder.send(keyed(&chat_stream("stall")).bytes());
    assert_eq!(holder.head().status(), 200);
    let refused = || stage.gateway.proxy.metrics().sum("lockstep_ai_refused_total", &[]);
    let before = refused();
    let told = std::thread::scope(|scope| {
        let call = scope.spawn(|| sdk.run(&stage.chat("ok").client("max_retries", 5)));
        until("the call is refused", || refused() > before);
        drop(holder);
        call.join().expect("the call ends")
    });
    assert_eq!(told.value()["choices"][0]["message"]["content"], CONTENT);
    let count = stage.provider.last().header("x-stainless-retry-count").map(str::to_owned);
    assert!(count.as_deref().is_some_and(|count| count != "0"), "{count:?}");
    assert!(told.seconds() >= 0.4, "it has waited as it was told: {told:?}");
}

/// A timeout of the SDK's is one for the provider as well; those of the gateway are told.
///
/// # Panics
/// If not.
pub fn timeouts(sdk: &Sdk, stage: &Stage) {
    for how in ways(sdk).0 {
        stage.provider.forget();
        let told = sdk.run(&stage.chat("silence").how(how).client("timeout", 1.2));
        let timed_out = told.is("APITimeoutError") || told.is("APIConnectionTimeoutError");
        // The gateway knows the SDK's limit, and may be the first to say so.
        assert!(timed_out || told.error()["status"] == 504, "{told:?}");
        assert!((0.5..4.0).contains(&told.seconds()), "{told:?}");
        assert!(stage.provider.is_left_within(Duration::from_secs(1)));
        assert_eq!(stage.provider.count(), 1);
    }
    let told = sdk.run(&stage.chat("headers-silence").how("stream"));
    assert!(told.is("InternalServerError"), "{told:?}");
    assert_eq!((&told.error()["status"], &told.error()["code"]), (&json!(504), &json!("upstream_timeout")));
}

/// What an application leaves, the provider sees within a second.
///
/// # Panics
/// If it does not.
pub fn aborts(sdk: &Sdk, stage: &Stage) {
    for how in ways(sdk).1 {
        for model in ["paced-100", "endless"] {
            stage.provider.forget();
            let told = sdk.run(&stage.chat(model).how(how).with("stop_after", 3));
            assert_eq!(told.events().len(), 3, "{told:?}");
            assert!(stage.provider.is_left_within(Duration::from_secs(1)), "{model}, {how}");
        }
    }
    stage.provider.forget();
    let how = if sdk.is_node() { "plain" } else { "async" };
    let told = sdk.run(&stage.chat("silence").how(how).with("abort_after", 0.3));
    assert!(told.is("CancelledError") || told.is("APIUserAbortError"), "{told:?}");
    assert!(stage.provider.is_left_within(Duration::from_secs(1)));
    assert_eq!(stage.provider.ended(), Ending::Left);
}
