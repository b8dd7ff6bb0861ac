//! One model for each fault and each strategy: the fault at the first target, the right answer at the
//! second. What the caller sees and what providers see is a row of a table.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::{Gateway, Running, Stream, chat, chat_stream, gateway, keyed};
use crate::provider::Provider;

/// What is expected of a call.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The model that the first target is asked for.
    pub fault: &'static str,
    /// The status that the caller sees.
    pub status: u16,
    /// The code of the error, in the body or in the stream; empty without an error.
    pub code: &'static str,
    /// How often the first and the second target are asked.
    pub asked: [usize; 2],
}

/// What was seen of a call.
#[derive(Debug)]
pub struct Seen {
    /// The answer, read to its end.
    pub stream: Stream,
    /// How often the first and the second target were asked.
    pub asked: [usize; 2],
    /// How long it took.
    pub took: Duration,
}

/// The strategies; with the weights that they have here both ask the first target first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// In the order of the configuration.
    Priority,
    /// By weights: all of it on the first one.
    Weighted,
    /// There is but one target.
    Alone,
}

/// A gateway with a model, and a provider of its own, for each row.
#[derive(Debug)]
pub struct Table {
    /// The gateway.
    pub gateway: Running,
    faulty: Vec<Provider>,
    right: Provider,
}

impl Row {
    /// A row.
    pub const fn new(fault: &'static str, status: u16, code: &'static str, asked: [usize; 2]) -> Self {
        Self { fault, status, code, asked }
    }
}

impl Table {
    /// Starts the gateway and the providers.
    ///
    /// # Panics
    /// If they do not come up.
    pub fn start(rows: &[Row], strategy: Strategy, change: impl FnOnce(Gateway) -> Gateway) -> Self {
        let right = Provider::start("b");
        let faulty: Vec<_> = rows.iter().map(|_| Provider::start("a")).collect();
        let mut section = gateway(&[("b", &right)]);
        for (index, (row, provider)) in rows.iter().zip(&faulty).enumerate() {
            let name = format!("a{index}");
            section = section
                .provider(
                    &name,
                    json!({"kind": "openai", "base_url": provider.url(), "api_key": {"value": "sk-a"}}),
                )
                .entry(&format!("model-{index}"), strategy.model(&name, row.fault));
        }
        Self { gateway: change(section).start(), faulty, right }
    }

    /// Makes the call of a row.
    pub fn call(&self, index: usize, streamed: bool) -> Seen {
        self.right.forget();
        let model = format!("model-{index}");
        let request = keyed(&if streamed { chat_stream(&model) } else { chat(&model) });
        let begun = Instant::now();
        let stream = Stream::of(self.gateway.addr(), &request);
        let asked = [self.faulty[index].count(), self.right.count()];
        Seen { stream, asked, took: begun.elapsed() }
    }
}

impl Strategy {
    fn model(self, provider: &str, fault: &str) -> Value {
        // What never answers is not waited for as long as what answers late.
        let silent = matches!(fault, "silence" | "headers-silence" | "stall" | "no-done-silent");
        let time = if silent { "700ms" } else { "10s" };
        let timeouts = json!({"total": time, "first_event": time, "idle": time});
        let first = json!({"provider": provider, "model": fault, "timeouts": timeouts});
        match self {
            Self::Priority => json!({"targets": [first, {"provider": "b", "model": "ok"}]}),
            Self::Alone => json!({"targets": [first]}),
            Self::Weighted => {
                let mut first = first;
                first["weight"] = json!(1);
                let second = json!({"provider": "b", "model": "ok", "weight": 0});
                json!({"targets": [first, second], "strategy": "weighted"})
            }
        }
    }
}

impl Seen {
    /// Asserts what holds for every answer, and what the row says.
    ///
    /// # Panics
    /// If it does not hold.
    pub fn check(&self, row: &Row, context: &dyn Debug) {
        let message = &self.stream.message;
        let told = format!("{row:?}, {context:?}: {self:#?}");
        assert_eq!((message.status(), self.asked), (row.status, row.asked), "{told}");
        assert_eq!(message.header("x-request-id").map(str::len), Some(26), "{told}");
        if row.status == 200 {
            let by = if row.asked[1] > 0 { "b/ok".to_owned() } else { format!("/{}", row.fault) };
            let target = message.header("x-lockstep-target").unwrap_or_default();
            assert!(target.ends_with(&by), "{told}");
        }
        let error =
            if row.status == 200 { self.stream.error() } else { Some(message.json()["error"].clone()) };
        let Some(error) = error else { return assert_eq!(row.code, "", "{told}") };
        assert!(error["message"].is_string() && error["type"].is_string(), "{told}");
        assert_eq!(error["code"].as_str().unwrap_or("none"), row.code, "{told}");
        assert!(error.get("param").is_some(), "{told}");
    }
}
