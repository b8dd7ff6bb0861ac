//! Section `ai` after parsing.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use jiff::Timestamp;
use wildmatch::WildMatch;

use crate::ai::ledger::KeyIdentity;
use crate::ai::reading::Price;
use crate::config::secret::Secret;
use crate::config::value::{HostPattern, PathPrefix};

/// Section `ai`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ai {
    /// Hosts that the gateway answers for; empty: every host that no app names.
    pub hosts: Vec<HostPattern>,
    /// Prefix of its paths.
    pub path: PathPrefix,
    /// Who may call.
    pub auth: Auth,
    /// Whether `auth: none` may be used beyond loopback.
    pub allow_anonymous: bool,
    /// The keys of `auth: keys`.
    pub keys: Vec<Arc<Key>>,
    /// The providers, by name.
    pub providers: Vec<Arc<Provider>>,
    /// The models, by name.
    pub models: Vec<Arc<Model>>,
    /// Whom requests go to that name no model.
    pub default_provider: Option<Arc<Provider>>,
    /// How long targets may take, unless they have their own.
    pub timeouts: Timeouts,
    /// What is tried again.
    pub retry: Retry,
    /// When a target is left alone.
    pub cooldown: Cooldown,
    /// Silence of a provider after which a comment is sent; none: never.
    pub keep_alive: Option<Duration>,
    /// What request bodies may take.
    pub limits: Limits,
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Bearers of a configured key.
    Keys,
    /// Everybody: the provider judges the caller's own key.
    Passthrough,
    /// Everybody, with our keys.
    None,
}

/// One key that callers may have.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// What records and metrics call it.
    pub identity: Arc<KeyIdentity>,
    /// SHA-256 of the key itself.
    pub sha256: [u8; 32],
    /// From when it is refused.
    pub expires: Option<Timestamp>,
    /// The models that it may ask for.
    pub models: Vec<Pattern>,
    /// Requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Requests at once.
    pub concurrent: Option<u32>,
}

/// A name in which `*` stands for any text and `?` for one character.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(WildMatch);

/// One provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Its name in the file.
    pub name: Arc<str>,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Scheme and authority.
    pub base: Base,
    /// Our key for it, if it takes one.
    pub api_key: Option<Secret>,
    /// Of Azure: the version of the API.
    pub api_version: Option<String>,
    /// Whether a caller's own key may be sent to it.
    pub accepts_caller_key: bool,
    /// PEM bundle of private authorities; the system's when absent.
    pub ca: Option<PathBuf>,
    /// Whether HTTP/2 is spoken.
    pub http2: Http2,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
}

/// Where a provider is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Its host: a name or an address, the latter of IPv6 without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `Host` as it is sent.
    pub authority: String,
    /// Path before that of an endpoint, without a slash at its end.
    pub path: String,
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenAI's API, as many servers do.
    Openai,
    /// The same with Azure's paths.
    Azure,
    /// Anthropic's API.
    Anthropic,
}

/// Whether HTTP/2 is spoken to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2 {
    /// If the provider offers it in the TLS handshake; not without TLS.
    Auto,
    /// Always; without TLS by prior knowledge.
    Always,
    /// Never.
    Never,
}

/// One model, or all that a pattern stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What callers ask for.
    pub name: String,
    /// The same as a pattern, if it is one.
    pub pattern: Option<Pattern>,
    /// Who answers, at least one.
    pub targets: Vec<Arc<Target>>,
    /// Whom to ask first.
    pub strategy: Strategy,
    /// What happens to a stream that breaks.
    pub midstream: Midstream,
}

/// One provider's model.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// The provider.
    pub provider: Arc<Provider>,
    /// Its name for the model; the one asked for when absent.
    pub model: Option<Arc<str>>,
    /// Tokens that it can take.
    pub context_window: Option<u64>,
    /// Whether it goes on with an assistant's message that it is given.
    pub prefill: bool,
    /// What it costs.
    pub price: Option<Price>,
    /// Its share with `strategy: weighted`.
    pub weight: u32,
    /// How long it may take.
    pub timeouts: Timeouts,
}

/// Whom to ask first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// In the order of the file.
    Priority,
    /// By chance, in proportion to the weights.
    Weighted,
}

/// What happens when a stream breaks after its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Midstream {
    /// The client is told.
    Error,
    /// Another target goes on, where that can be done.
    Continue,
}

/// How long a target may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// Of a stream, to its first event.
    pub first_event: Duration,
    /// Of a stream, between two reads.
    pub idle: Duration,
    /// Of a plain call, from its beginning to its last byte.
    pub total: Duration,
}

/// What is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts on one target.
    pub per_target: u32,
    /// Attempts of one call.
    pub total: u32,
    /// What another attempt follows on.
    pub on: RetryOn,
    /// The first wait; it doubles.
    pub base: Duration,
    /// The longest wait.
    pub max: Duration,
    /// The longest `Retry-After` that is waited for.
    pub wait: Duration,
}

/// What another attempt follows on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetryOn {
    /// No connection.
    pub connect: bool,
    /// A connection that broke.
    pub reset: bool,
    /// No answer in time.
    pub timeout: bool,
    /// Statuses.
    pub statuses: BTreeSet<u16>,
    /// Every status from 500 on.
    pub server_errors: bool,
}

/// When a target is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cooldown {
    /// Failed attempts; 0: never.
    pub failures: u32,
    /// The time in which they count.
    pub window: Duration,
    /// For how long.
    pub duration: Duration,
}

/// What request bodies may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one that is kept for another attempt.
    pub body_bytes: u64,
    /// Bytes of all that are kept at once.
    pub buffered: u64,
}

impl Pattern {
    /// The pattern of a text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(WildMatch::new(text))
    }

    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }

    /// Whether every name is meant.
    #[must_use]
    pub fn matches_all(&self) -> bool {
        let text = self.to_string();
        !text.is_empty() && text.bytes().all(|byte| byte == b'*')
    }

    /// Whether a text is more than a name.
    #[must_use]
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?'])
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Base {
    /// The parts of a URL.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Self> {
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = uri.authority()?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        (!host.is_empty() && port > 0).then(|| Self {
            tls,
            host,
            port,
            authority: authority.as_str().to_owned(),
            path,
        })
    }
}

impl std::fmt::Display for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl RetryOn {
    /// Whether another attempt follows on a status.
    #[must_use]
    pub fn status(&self, status: u16) -> bool {
        self.statuses.contains(&status) || (self.server_errors && status >= 500)
    }
}
