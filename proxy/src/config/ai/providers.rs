//! `ai.providers`.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;

use super::model::{Base, Http2, Provider, ProviderKind};
use crate::config::cursor::Cursor;
use crate::config::mapping::Mapping;
use crate::config::secret;
use crate::config::value::{choice, duration_in, quoted};
use crate::tls::authorities;

const KEYS: &[&str] =
    &["kind", "base_url", "api_key", "api_version", "accepts_caller_key", "ca", "http2", "idle_timeout"];

pub(super) const KINDS: &[(&str, ProviderKind)] = &[
    ("openai", ProviderKind::Openai),
    ("azure", ProviderKind::Azure),
    ("anthropic", ProviderKind::Anthropic),
];

pub(super) const HTTP2: &[(&str, Http2)] =
    &[("auto", Http2::Auto), ("true", Http2::Always), ("false", Http2::Never)];

const MS_100: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_hours(24);

/// The providers, and the names of those that could not be read.
#[derive(Default)]
pub(super) struct Providers {
    pub(super) all: Vec<Arc<Provider>>,
    broken: Vec<String>,
}

impl Providers {
    pub(super) fn read(map: &Mapping<'_>) -> Self {
        let mut providers = Self::default();
        let mut named = map.get("providers").map(|at| at.named()).unwrap_or_default();
        // Their order says nothing.
        named.sort_by_key(|(name, _)| *name);
        for (name, at) in named {
            match provider(name, &at) {
                Some(provider) => providers.all.push(Arc::new(provider)),
                None => providers.broken.push(name.to_owned()),
            }
        }
        providers
    }

    /// The provider that a value names.
    pub(super) fn find(&self, at: &Cursor<'_>) -> Option<Arc<Provider>> {
        let name = at.text()?;
        let found = self.all.iter().find(|provider| &*provider.name == name);
        if found.is_none() && !self.broken.iter().any(|broken| broken == name) {
            let known = self.all.iter().map(|provider| &*provider.name).collect::<Vec<_>>().join(", ");
            at.error(format!("{} is not one of ai.providers; these are {known}", quoted(name)));
        }
        found.cloned()
    }
}

fn provider(name: &str, at: &Cursor<'_>) -> Option<Provider> {
    let valid = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !valid {
        at.error("is no name for a provider; write 1 to 63 of A-Z a-z 0-9 . _ -");
    }
    let map = at.mapping(&[KEYS]);
    let kind = map.required("kind").and_then(|at| at.parse(choice(KINDS)));
    let base = map.required("base_url").and_then(|at| at.parse(base));
    // A secret that can't be read is noted, and no configuration comes out.
    let api_key = map.get("api_key").and_then(|at| secret::token(&at));
    let api_version = match (map.get("api_version"), kind) {
        (None, Some(ProviderKind::Azure)) => {
            map.error("is of kind azure, which needs api_version, such as 2024-10-21, or v1");
            None
        }
        (Some(at), Some(ProviderKind::Openai | ProviderKind::Anthropic)) => {
            at.error("has a meaning with kind: azure only");
            None
        }
        (at, _) => at.and_then(|at| at.parse(api_version)),
    };
    let ca = map.get("ca").filter(|at| !at.is_empty());
    if let (Some(at), Some(Base { tls: false, .. })) = (&ca, &base) {
        at.error("has an effect with https only");
    }
    Some(Provider {
        name: name.into(),
        kind: kind?,
        base: base?,
        api_key,
        api_version,
        accepts_caller_key: map.flag("accepts_caller_key", false),
        ca: ca.and_then(|at| bundle(&at)),
        http2: map.or("http2", Http2::Auto, choice(HTTP2)),
        idle_timeout: map.or("idle_timeout", Duration::from_secs(30), duration_in(MS_100..=DAY)),
    })
    .filter(|_| valid)
}

fn base(text: &str) -> Result<Base, String> {
    text.parse::<Uri>().ok().as_ref().and_then(Base::of).ok_or_else(|| {
        format!(
            "{} is not a base URL; write one such as https://api.openai.com/v1, without user, query and fragment",
            quoted(text)
        )
    })
}

fn api_version(text: &str) -> Result<String, String> {
    let valid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    valid.then(|| text.to_owned()).ok_or_else(|| format!("{} is not a version of the API", quoted(text)))
}

fn bundle(at: &Cursor<'_>) -> Option<std::path::PathBuf> {
    let path = at.file()?;
    authorities::load(&path).map_err(|error| at.error(error)).ok()?;
    Some(path)
}
