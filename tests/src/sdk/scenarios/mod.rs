//! What every SDK must be able to do through the gateway. The suites run each of these on each
//! release line.

mod answers;
mod errors;
mod multipart;
mod retries;

pub use answers::{azure, chat, embeddings, listed_models, responses, streams, tools};
pub use errors::{broken_streams, errors, refusals};
pub use multipart::{files, sound};
pub use retries::{aborts, retries, spent_attempts, timeouts};

use serde_json::{Value, json};

use super::{Call, Sdk, Told};
use crate::gateway::{Gateway, KEY, Running, gateway};
use crate::provider::Provider;

/// A gateway in front of a provider.
#[derive(Debug)]
pub struct Stage {
    /// The provider.
    pub provider: Provider,
    /// The gateway.
    pub gateway: Running,
}

impl Stage {
    /// Starts both; the gateway as it is, or with a change.
    pub fn start(change: impl FnOnce(Gateway) -> Gateway) -> Self {
        let provider = Provider::start("a");
        let gateway = change(gateway(&[("a", &provider)])).start();
        Self { provider, gateway }
    }

    /// A call through the gateway.
    pub fn call(&self, method: &str, params: Value) -> Call {
        Call::new(&self.gateway.url(), KEY, method, params)
    }

    fn chat(&self, model: &str) -> Call {
        self.call("chat.completions.create", chat_params(model))
    }
}

fn chat_params(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

/// The ways in which an SDK makes plain calls, and those for streams.
fn ways(sdk: &Sdk) -> (&'static [&'static str], &'static [&'static str]) {
    if sdk.is_node() { (&["plain"], &["stream"]) } else { (&["plain", "async"], &["stream", "async-stream"]) }
}

/// Asserts that an answer has the gateway's own id: a ULID.
fn has_our_id(told: &Told) {
    let id = told.request_id().unwrap_or_else(|| panic!("an id: {told:?}"));
    assert_eq!(id.len(), 26, "{id}");
    assert!(!id.contains("req_"), "{id}");
}
