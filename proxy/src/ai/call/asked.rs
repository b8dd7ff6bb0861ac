//! What a call asks for: what its head and its body say, as far as the gateway must know.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method, Version};
use pingora::http::RequestHeader;
use tokio::time::Instant;

use crate::ai::anthropic::{self, translate_request};
use crate::ai::body::{Edits, Scan};
use crate::ai::errors::ApiError;
use crate::ai::ledger::Change;
use crate::ai::multipart;
use crate::ai::reading::Format;
use crate::ai::route::{Endpoint, ModelField, Route};
use crate::ai::snapshot::Dialect;
use crate::config::ai::model::Target;
use crate::media_type;

/// How long SDKs wait for an answer, as they say themselves; in seconds.
const PATIENCE: [&str; 2] = ["x-stainless-read-timeout", "x-stainless-timeout"];

/// The most tokens of an answer of Anthropic's where the client sets no limit: one must be set.
const MAX_TOKENS: u64 = 8192;

/// The longest name of a model, in bytes: it stands in records, the log and messages.
const MAX_MODEL: usize = 256;

/// Fields of a request that are named where they are left out: so many, and none that is longer in bytes.
const MAX_FIELDS: usize = 32;
const MAX_FIELD: usize = 64;

/// The head of a call.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) method: Method,
    /// The path as the client sent it.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) route: Route,
    /// When the caller gives up.
    pub(crate) deadline: Option<Instant>,
    /// The caller's own key, where it is the one to use.
    pub(crate) callers_key: Option<String>,
}

/// The body of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) body: Bytes,
    /// The model that is asked for.
    pub(crate) model: Option<String>,
    content: Content,
}

#[derive(Debug, Clone, Default)]
enum Content {
    Json(Scan),
    Multipart {
        model_at: Option<Range<usize>>,
    },
    #[default]
    Opaque,
}

/// A body for one target, and what was changed in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outgoing {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) changes: Vec<Change>,
    /// Whether the usage of the stream is to be hidden from the client.
    pub(crate) hide_usage: bool,
    /// What the translation of the answer must know, if it is to be translated.
    pub(crate) translated: Option<Translated>,
}

/// What the translation of an answer must know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Translated {
    /// Whether the client wants the usage in its stream.
    pub(crate) include_usage: bool,
    /// White space at the end of what the model goes on from.
    pub(crate) trimmed: String,
}

// === impl Head ===

impl Head {
    pub(crate) fn new(request: &RequestHeader, route: Route, callers_key: Option<String>) -> Self {
        let patience = PATIENCE.iter().find_map(|name| {
            let seconds = request.headers.get(*name)?.to_str().ok()?.trim().parse::<f64>().ok()?;
            Duration::try_from_secs_f64(seconds).ok().filter(|patience| !patience.is_zero())
        });
        Self {
            version: request.version,
            method: request.method.clone(),
            path: request.uri.path().to_owned(),
            query: request.uri.query().map(str::to_owned),
            headers: Arc::new(request.headers.clone()),
            route,
            deadline: patience.and_then(|patience| Instant::now().checked_add(patience)),
            callers_key,
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.route.endpoint
    }

    /// What is left of the caller's time.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    fn text(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

// === impl Asked ===

impl Asked {
    /// Looks into a body.
    ///
    /// # Errors
    /// What the client is told of a request that can't be right.
    pub(crate) fn of(head: &Head, body: Bytes) -> Result<Self, ApiError> {
        let endpoint = head.endpoint();
        if endpoint.model_field() == ModelField::None {
            return Ok(Self { body, ..Self::default() });
        }
        if head.text(CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(ApiError::compressed());
        }
        let content_type = head.text(CONTENT_TYPE).unwrap_or("application/json");
        let (content, named) = match multipart::boundary(content_type) {
            Some(boundary) if matches!(endpoint, Endpoint::Audio | Endpoint::Images) => {
                let model_at =
                    multipart::field(&body, boundary, "model").map_err(|_| ApiError::not_multipart())?;
                let named = model_at.clone().and_then(|at| body.get(at));
                let named = named.map(|name| String::from_utf8_lossy(name).into_owned());
                (Content::Multipart { model_at }, named.filter(|name| !name.is_empty()))
            }
            _ if is_json(content_type) => {
                let scan = Scan::of(endpoint, &body)?;
                let named = scan.model.clone();
                (Content::Json(scan), named)
            }
            _ => return Err(ApiError::unsupported_type(expected(endpoint))),
        };
        // Azure names it in the path, which is what it goes by.
        let model = head.route.model.clone().or(named);
        if model.is_none() && endpoint.model_field() == ModelField::Required {
            return Err(ApiError::missing("model"));
        }
        if model.as_ref().is_some_and(|model| model.len() > MAX_MODEL) {
            return Err(ApiError::too_long("model", MAX_MODEL));
        }
        Ok(Self { body, model, content })
    }

    /// What the body says, if it is JSON.
    pub(crate) fn scan(&self) -> Option<&Scan> {
        match &self.content {
            Content::Json(scan) => Some(scan),
            Content::Multipart { .. } | Content::Opaque => None,
        }
    }

    /// Whether a stream is asked for, of an endpoint whose streams are known.
    pub(crate) fn streams(&self, endpoint: Endpoint) -> bool {
        stream_format(endpoint).is_some() && self.scan().is_some_and(|scan| scan.stream)
    }

    /// The body for a target.
    ///
    /// # Errors
    /// If the target can't be asked this.
    pub(crate) fn outgoing(
        &self,
        endpoint: Endpoint,
        target: &Target,
        dialect: Dialect,
        goes_on_from: &str,
    ) -> Result<Outgoing, ApiError> {
        match dialect {
            Dialect::Native => Ok(self.native(endpoint, target, goes_on_from)),
            Dialect::ChatToMessages => self.translated(target, goes_on_from),
        }
    }

    fn translated(&self, target: &Target, prefill: &str) -> Result<Outgoing, ApiError> {
        let model = target.model.as_deref().or(self.model.as_deref()).unwrap_or_default();
        let asked = anthropic::Target { model, max_tokens: MAX_TOKENS, prefill };
        let translated = translate_request(&self.body, asked).map_err(ApiError::untranslatable)?;
        let mut changes = vec![Change::RequestTranslated, Change::ResponseTranslated];
        changes.extend((!prefill.is_empty()).then_some(Change::RequestContinued));
        let named = translated.changed.iter().filter(|name| name.len() <= MAX_FIELD).take(MAX_FIELDS);
        changes.extend(named.map(|name| Change::RequestField(name.as_str().into())));
        let answer = Translated { include_usage: translated.include_usage, trimmed: translated.trimmed };
        Ok(Outgoing {
            pieces: vec![translated.body.into()],
            changes,
            hide_usage: false,
            translated: Some(answer),
        })
    }

    /// The body for a target that is spoken to as the client speaks.
    fn native(&self, endpoint: Endpoint, target: &Target, prefill: &str) -> Outgoing {
        let (mut edits, mut changes) = (Edits::default(), Vec::new());
        let mut hide_usage = false;
        let name = target.model.as_deref().or(self.model.as_deref());
        match &self.content {
            Content::Json(scan) => {
                if let Some(name) = name
                    && scan.model.as_deref() != Some(name)
                {
                    scan.set_model(name, &mut edits);
                    changes.push(Change::RequestModel);
                }
                let injects = matches!(endpoint, Endpoint::Chat | Endpoint::Completions);
                if injects && scan.needs_usage() {
                    scan.include_usage(&mut edits);
                    changes.push(Change::RequestUsage);
                    hide_usage = true;
                }
                if !prefill.is_empty() {
                    scan.begin_answer(prefill, &mut edits);
                    changes.push(Change::RequestContinued);
                }
            }
            Content::Multipart { model_at: Some(at) } => {
                if let Some(name) = name
                    && self.body.get(at.clone()) != Some(name.as_bytes())
                {
                    edits.replace(at.clone(), name.as_bytes().to_vec());
                    changes.push(Change::RequestModel);
                }
            }
            Content::Multipart { model_at: None } | Content::Opaque => {}
        }
        Outgoing { pieces: edits.apply(&self.body), changes, hide_usage, translated: None }
    }
}

// === impl Outgoing ===

impl Outgoing {
    pub(crate) fn length(&self) -> u64 {
        self.pieces.iter().map(|piece| u64::try_from(piece.len()).unwrap_or(0)).sum()
    }
}

/// The format of an endpoint's answers, if it is one that is understood.
pub(crate) const fn format(endpoint: Endpoint) -> Option<Format> {
    match endpoint {
        Endpoint::Chat => Some(Format::Chat),
        Endpoint::Completions => Some(Format::Completions),
        Endpoint::Embeddings => Some(Format::Embeddings),
        Endpoint::Responses => Some(Format::Responses),
        Endpoint::Messages => Some(Format::Messages),
        _ => None,
    }
}

/// The same for streams.
pub(crate) const fn stream_format(endpoint: Endpoint) -> Option<Format> {
    match format(endpoint) {
        Some(Format::Embeddings) | None => None,
        known => known,
    }
}

/// The format in which a provider answers.
pub(crate) const fn answer_format(endpoint: Endpoint, dialect: Dialect) -> Option<Format> {
    match dialect {
        Dialect::Native => format(endpoint),
        Dialect::ChatToMessages => Some(Format::Messages),
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = media_type::essence(content_type);
    kind == "application/json" || kind.ends_with("+json")
}

const fn expected(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Audio | Endpoint::Images => "application/json or multipart/form-data",
        _ => "application/json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, content_type: Option<&str>, body: &'static str) -> Result<Asked, ApiError> {
        let mut request = RequestHeader::build("POST", path.as_bytes(), None).unwrap();
        if let Some(content_type) = content_type {
            request.insert_header(CONTENT_TYPE, content_type).unwrap();
        }
        let route = crate::ai::route::Prefix::new("/v1").route(&Method::POST, path).unwrap();
        Asked::of(&Head::new(&request, route, None), Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn the_model_is_found_wherever_it_stands() {
        let json = Some("application/json; charset=utf-8");
        let form = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--b--\r\n";
        let azure = "/openai/deployments/gpt-4o/chat/completions";
        let cases = [
            ("/v1/chat/completions", json, r#"{"model":"m","messages":[1]}"#, Ok(Some("m"))),
            ("/v1/chat/completions", None, r#"{"model":"m","messages":[1]}"#, Ok(Some("m"))),
            ("/v1/chat/completions", json, r#"{"messages":[1]}"#, Err((400, Some("model")))),
            ("/v1/chat/completions", json, r#"{"model":"","messages":[1]}"#, Err((400, Some("model")))),
            ("/v1/chat/completions", Some("text/plain"), r#"{"model":"m"}"#, Err((415, None))),
            (azure, json, r#"{"model":"other","messages":[1]}"#, Ok(Some("gpt-4o"))),
            ("/v1/moderations", json, r#"{"input":"x"}"#, Ok(None)),
            ("/v1/audio/transcriptions", Some("multipart/form-data; boundary=b"), form, Ok(Some("whisper"))),
            ("/v1/chat/completions", Some("multipart/form-data; boundary=b"), form, Err((415, None))),
            ("/v1/audio/transcriptions", Some("multipart/form-data; boundary=c"), form, Err((400, None))),
            ("/v1/files", Some("text/plain"), "anything", Ok(None)),
        ];
        for (path, content_type, body, expected) in cases {
            let found = asked(path, content_type, body);
            let found = found.map(|asked| asked.model).map_err(|error| (error.status, error.param));
            let expected: Result<Option<&str>, (u16, Option<&str>)> = expected;
            let expected = expected.map(|model| model.map(str::to_owned));
            assert_eq!(
                found,
                expected.map_err(|(status, param)| (status, param.map(Into::into))),
                "{path} {body}"
            );
        }
    }

    #[test]
    fn patience_is_read() {
        let left = |name: &'static str, value: &str| {
            let mut request = RequestHeader::build("POST", b"/v1/x", None).unwrap();
            request.insert_header(name, value).unwrap();
            let route = crate::ai::route::Prefix::new("/v1").route(&Method::POST, "/v1/x").unwrap();
            Head::new(&request, route, None).left().map(|left| left.as_secs_f64().round())
        };
        assert_eq!(left("x-stainless-read-timeout", "600"), Some(600.0));
        assert_eq!(left("x-stainless-timeout", "2.0"), Some(2.0));
        assert_eq!(left("x-stainless-timeout", "NOT_GIVEN"), None);
        assert_eq!(left("x-stainless-timeout", "-1"), None);
        assert_eq!(left("x-stainless-timeout", "1e300"), None);
    }
}
