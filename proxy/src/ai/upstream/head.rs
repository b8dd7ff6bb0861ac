//! The head of a request as a provider gets it: what the client sent, less what is between the
//! client and us, with the provider's own path and credentials.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::http::RequestHeader;

use crate::ai::route::Endpoint;
use crate::ai::snapshot::Dialect;
use crate::config::ai::model::{Provider, ProviderKind};

const API_KEY: HeaderName = HeaderName::from_static("api-key");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// Headers between two neighbours (RFC 9110, 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// What stays with us: who the client is, what it pays with, how it reached us.
const OURS: [&str; 11] = [
    "authorization",
    "api-key",
    "x-api-key",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "expect",
    "x-request-id",
    "x-real-ip",
    "forwarded",
];

/// Which account of a provider's pays: not the caller's choice where the key is ours.
const ACCOUNT: [&str; 2] = ["openai-organization", "openai-project"];

/// What a head is made of.
pub struct Outgoing<'r> {
    /// The method.
    pub method: &'r Method,
    /// The path below the provider's base.
    pub path: &'r str,
    /// The query as the client sent it.
    pub query: Option<&'r str>,
    /// The headers as the client sent them.
    pub headers: &'r HeaderMap,
    /// What kind of call it is.
    pub endpoint: Endpoint,
    /// The model as the provider calls it.
    pub model: Option<&'r str>,
    /// The caller's own key, where it is to be used.
    pub callers_key: Option<&'r str>,
    /// How the provider is spoken to.
    pub dialect: Dialect,
    /// The length of the body, if it is known.
    pub length: Option<u64>,
}

impl Outgoing<'_> {
    /// The head for a provider.
    ///
    /// # Errors
    /// If a configured value can't be put into a head, which its parsing rules out.
    pub fn head(&self, provider: &Provider) -> pingora::Result<RequestHeader> {
        let target = self.target(provider);
        let mut head = RequestHeader::build(self.method.clone(), target.as_bytes(), Some(24))?;
        let nominated = nominated(self.headers);
        for (name, value) in self.headers {
            let text = name.as_str();
            let foreign = self.dialect == Dialect::ChatToMessages && text.starts_with("openai-");
            let account = self.callers_key.is_none() && (is_credential(text) || ACCOUNT.contains(&text));
            let ours = OURS.contains(&text) || text.starts_with("x-forwarded-");
            let stays = foreign || account || ours || HOP_BY_HOP.contains(&text);
            if !stays && !nominated.iter().any(|nominated| nominated == text) {
                head.append_header(name.clone(), value.clone())?;
            }
        }
        head.insert_header(HOST, provider.base.authority.as_str())?;
        // What is to be looked into must be legible: answers, and errors on every path.
        head.insert_header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
        match self.length {
            Some(length) if length > 0 || self.method != Method::GET => {
                head.insert_header(CONTENT_LENGTH, length)?;
            }
            Some(_) => {}
            None => head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?,
        }
        if self.dialect == Dialect::ChatToMessages {
            head.insert_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))?;
        }
        self.credentials(&mut head, provider)?;
        Ok(head)
    }

    fn credentials(&self, head: &mut RequestHeader, provider: &Provider) -> pingora::Result<()> {
        if provider.kind == ProviderKind::Anthropic && !head.headers.contains_key(ANTHROPIC_VERSION) {
            head.insert_header(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"))?;
        }
        let ours = provider.api_key.as_ref().map(crate::config::secret::Secret::expose);
        let Some(key) = self.callers_key.or(ours) else { return Ok(()) };
        let bearer_given = self.callers_key.is_some() && self.headers.contains_key(AUTHORIZATION);
        let (name, text) = match provider.kind {
            ProviderKind::Openai => (AUTHORIZATION, format!("Bearer {key}")),
            // A token of Entra comes as a bearer token and stays one.
            ProviderKind::Azure if bearer_given => (AUTHORIZATION, format!("Bearer {key}")),
            ProviderKind::Azure => (API_KEY, key.to_owned()),
            ProviderKind::Anthropic => (X_API_KEY, key.to_owned()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| pingora::Error::explain(pingora::ErrorType::InvalidHTTPHeader, "credentials"))?;
        value.set_sensitive(true);
        head.insert_header(name, value)
    }

    /// Path and query.
    fn target(&self, provider: &Provider) -> String {
        let base = provider.base.path.as_str();
        let path = if self.dialect == Dialect::ChatToMessages { "/messages" } else { self.path };
        let query = self.query.map(without_api_version).filter(|query| !query.is_empty());
        let (path, own) = match (provider.kind, provider.api_version.as_deref()) {
            (ProviderKind::Azure, Some("v1")) => (format!("{base}/openai/v1{path}"), None),
            (ProviderKind::Azure, Some("preview")) => (format!("{base}/openai/v1{path}"), Some("preview")),
            (ProviderKind::Azure, version) => (format!("{base}/openai{}", self.azure_path(path)), version),
            _ => (format!("{base}{path}"), None),
        };
        let own = own.map(|version| format!("api-version={version}"));
        let query = [query, own].into_iter().flatten().collect::<Vec<_>>().join("&");
        let path = if path.is_empty() { "/" } else { &path };
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// Azure names the deployment in the path of what is deployed.
    fn azure_path(&self, path: &str) -> String {
        let deployed = matches!(
            self.endpoint,
            Endpoint::Chat
                | Endpoint::Completions
                | Endpoint::Embeddings
                | Endpoint::Images
                | Endpoint::Audio
        );
        match self.model {
            Some(model) if deployed => {
                let model = percent_encoding::utf8_percent_encode(model, percent_encoding::NON_ALPHANUMERIC);
                // What deployments are made of needs no encoding.
                let model = model.to_string().replace("%2D", "-").replace("%2E", ".").replace("%5F", "_");
                format!("/deployments/{model}{path}")
            }
            _ => path.to_owned(),
        }
    }
}

/// Whether a header looks as if it held what somebody else is to be paid or trusted with.
fn is_credential(name: &str) -> bool {
    const ENDS: [&str; 8] =
        ["api-key", "apikey", "subscription-key", "access-key", "token", "secret", "password", "-auth"];
    const PARTS: [&str; 3] = ["authorization", "cookie", "credential"];
    ENDS.iter().any(|end| name.ends_with(end)) || PARTS.iter().any(|part| name.contains(part))
}

/// Headers that `Connection` names (RFC 9110, 7.6.1).
fn nominated(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// Azure's version of the API is the provider's business, not the client's.
fn without_api_version(query: &str) -> String {
    query.split('&').filter(|pair| !pair.starts_with("api-version=")).collect::<Vec<_>>().join("&")
}

/// Whether a header of a provider's answer stays with us.
#[must_use]
pub fn stays(name: &HeaderName) -> bool {
    const OURS: [&str; 8] = [
        "transfer-encoding",
        "content-length",
        "set-cookie",
        "alt-svc",
        "strict-transport-security",
        "x-request-id",
        "retry-after",
        "retry-after-ms",
    ];
    let text = name.as_str();
    name == COOKIE || name == EXPECT || HOP_BY_HOP.contains(&text) || OURS.contains(&text)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
