//! The AI gateway: its configuration, the real binary that runs it, and what a caller sends.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::config::Config;
use crate::http1::Message;
use crate::lockstep::Lockstep;
use crate::provider::Provider;
use crate::raw::{Client, Request};

/// The key that callers have.
pub const KEY: &str = "lk-callers-0123456789abcdef";
/// The id of that key.
pub const KEY_ID: &str = "team-a";

/// Section `ai` in the making.
#[derive(Debug, Clone)]
pub struct Gateway {
    section: Value,
    config: Config,
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    /// Its process.
    pub proxy: Lockstep,
}

/// The key that the gateway has for a provider.
pub fn provider_key(provider: &str) -> String {
    format!("sk-{provider}-of-the-gateway-0123456789")
}

/// The digest of a key, as the configuration has it.
pub fn digest(key: &str) -> String {
    hex::encode(Sha256::digest(key))
}

/// A gateway in front of providers, by the names that they have. A model that is not configured goes
/// to the first one, unchanged; so does what names no model. Waits are short.
pub fn gateway(providers: &[(&str, &Provider)]) -> Gateway {
    let entry = |(name, provider): &(&str, &Provider)| {
        let key = json!({"value": provider_key(name)});
        ((*name).to_owned(), json!({"kind": "openai", "base_url": provider.url(), "api_key": key}))
    };
    let first = providers.first().map(|(name, _)| *name);
    let section = json!({
        "keys": [{"id": KEY_ID, "sha256": digest(KEY), "labels": {"team": "a"}}],
        "providers": providers.iter().map(entry).collect::<Map<_, _>>(),
        "models": {"*": {"targets": [{"provider": first}]}},
        "default_provider": first,
        "retry": {"backoff": {"base": "10ms", "max": "50ms"}},
        "cooldown": {"failures": 0},
    });
    Gateway { section, config: Config::new() }
}

impl Gateway {
    /// With a value at a path of keys within section `ai`, such as `keys.0.limits`.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let place = path.split('.').fold(&mut self.section, |value, key| match key.parse::<usize>() {
            Ok(index) => &mut value[index],
            Err(_) => &mut value[key],
        });
        *place = value.into();
        self
    }

    /// With a value at a path of keys of the whole configuration.
    #[must_use]
    pub fn configured(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.config = self.config.set(path, value);
        self
    }

    /// With a model that has targets, each a provider with its name for the model.
    #[must_use]
    pub fn model(self, name: &str, targets: &[(&str, &str)]) -> Self {
        let target = |(provider, model): &(&str, &str)| json!({"provider": provider, "model": model});
        let targets: Vec<_> = targets.iter().map(target).collect();
        self.entry(name, json!({ "targets": targets }))
    }

    /// With a model as the configuration has it.
    #[must_use]
    pub fn entry(mut self, name: &str, model: Value) -> Self {
        self.section["models"][name] = model;
        self
    }

    /// With a provider as the configuration has it.
    #[must_use]
    pub fn provider(mut self, name: &str, provider: Value) -> Self {
        self.section["providers"][name] = provider;
        self
    }

    /// The whole configuration.
    pub fn config(&self) -> Config {
        self.config.clone().set("ai", self.section.clone())
    }

    /// Starts the real binary with it.
    pub fn start(&self) -> Running {
        Running { proxy: Lockstep::start(&self.config()) }
    }
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.proxy.addr()
    }

    /// The base URL, as SDKs take it.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr())
    }

    /// An open stream that has begun.
    ///
    /// # Panics
    /// If it does not begin.
    pub fn begun(&self, request: &Request) -> Client {
        let mut client = Client::connect(self.addr());
        client.send(keyed(request).bytes());
        assert_eq!(client.head().status(), 200);
        assert!(client.chunk().expect("the stream goes on").is_some());
        client
    }

    /// Its resident memory, in bytes.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.proxy.process.pid()));
        let status = status.expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for it");
        let kib: usize = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib << 10
    }

    /// Sends a request with the caller's key, over a connection of its own.
    pub fn send(&self, request: &Request) -> Message {
        self.proxy.send(&keyed(request))
    }

    /// Asks for a chat completion.
    pub fn chat(&self, model: &str) -> Message {
        self.send(&chat(model))
    }

    /// Asks for a stream and reads it to its end.
    pub fn stream(&self, model: &str) -> Stream {
        Stream::of(self.addr(), &keyed(&chat_stream(model)))
    }
}

/// A stream that was read to its end, or one answer that is none.
#[derive(Debug)]
pub struct Stream {
    /// The head, with the body as far as it came.
    pub message: Message,
    /// Whether it broke off.
    pub cut: bool,
}

impl Stream {
    /// Sends a request and reads what comes.
    ///
    /// # Panics
    /// If not even a head comes.
    pub fn of(addr: SocketAddr, request: &Request) -> Self {
        let mut client = Client::connect(addr);
        client.send(request.bytes());
        Self::read(&mut client)
    }

    /// Reads the answer to a request that was sent.
    ///
    /// # Panics
    /// If not even a head comes.
    pub fn read(client: &mut Client) -> Self {
        let mut message = client.head();
        if message.header("transfer-encoding").is_none() {
            let length = message.header("content-length").and_then(|length| length.parse().ok());
            message.body = client.bytes(length.expect("a length"));
            return Self { message, cut: false };
        }
        loop {
            match client.chunk() {
                Ok(Some(chunk)) => message.body.extend(chunk),
                end => return Self { message, cut: end.is_err() },
            }
        }
    }

    /// The data of its events.
    pub fn data(&self) -> Vec<String> {
        let text = self.message.text().replace("\r\n", "\n");
        let data =
            |event: &str| event.lines().find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        text.split("\n\n").filter_map(data).collect()
    }

    /// Its events as JSON, without `[DONE]`.
    pub fn events(&self) -> Vec<Value> {
        self.data().iter().filter_map(|data| serde_json::from_str(data).ok()).collect()
    }

    /// The text that the model says in it.
    pub fn said(&self) -> String {
        let text = |event: &Value| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
        self.events().iter().filter_map(text).collect()
    }

    /// Whether it ends with `[DONE]`.
    pub fn is_done(&self) -> bool {
        !self.cut && self.data().last().is_some_and(|data| data == "[DONE]")
    }

    /// The error within it.
    pub fn error(&self) -> Option<Value> {
        self.events().into_iter().find_map(|mut event| {
            let error = event["error"].take();
            error.is_object().then_some(error)
        })
    }
}

/// A request with the caller's key.
pub fn keyed(request: &Request) -> Request {
    request.clone().header("authorization", &format!("Bearer {KEY}"))
}

/// A request with a body of JSON.
pub fn post(path: &str, body: &Value) -> Request {
    Request::post(path, body.to_string()).header("content-type", "application/json")
}

/// A request for a chat completion.
pub fn chat(model: &str) -> Request {
    post("/v1/chat/completions", &chat_body(model))
}

/// A request for a stream.
pub fn chat_stream(model: &str) -> Request {
    let mut body = chat_body(model);
    body["stream"] = json!(true);
    post("/v1/chat/completions", &body)
}

/// The body of a request for a chat completion.
pub fn chat_body(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}
