//! From method and path to what a call is: which endpoint of the API, under which path providers
//! have it, and the model where the path names it, as Azure's do.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

/// What kind of call it is, which tells where its model stands and what its answer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /chat/completions`
    Chat,
    /// `POST /completions`
    Completions,
    /// `POST /embeddings`
    Embeddings,
    /// `POST /responses` and what belongs to it by model.
    Responses,
    /// Anthropic's `POST /messages` and `/messages/count_tokens`.
    Messages,
    /// `POST /moderations`
    Moderations,
    /// `POST /images/…`
    Images,
    /// `POST /audio/…`
    Audio,
    /// `GET /models`
    ModelList,
    /// `GET /models/{model}`
    Model,
    /// `GET /realtime`: a WebSocket, which is not served.
    Realtime,
    /// Anything else: passed to the default provider as it is.
    Raw,
}

/// How an endpoint finds the model that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelField {
    /// The body must name one.
    Required,
    /// The body may name one; without one the default provider is asked.
    Optional,
    /// There is none.
    None,
}

/// A call, as its path tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The path below a provider's base URL, with its leading slash; still percent-encoded.
    pub path: String,
    /// The model that the path names, decoded.
    pub model: Option<String>,
}

/// Where calls come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    /// `ai.path`, without a slash at its end.
    path: String,
    /// Where Azure's paths begin: beside a `/v1`, else below the path.
    azure: String,
}

impl Prefix {
    /// The prefix of a configured path.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let path = path.trim_end_matches('/').to_owned();
        let base = path.strip_suffix("/v1").unwrap_or(&path);
        Self { azure: format!("{base}/openai"), path }
    }

    /// Whether a path belongs to the gateway.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        below(path, &self.path).is_some() || below(path, &self.azure).is_some()
    }

    /// What a request is for; `None` if its path is not ours, or no path that could be passed on.
    #[must_use]
    pub fn route(&self, method: &Method, path: &str) -> Option<Route> {
        if has_dots(path) {
            return None;
        }
        let azure = below(path, &self.azure);
        let rest = azure.or_else(|| below(path, &self.path))?;
        if azure.is_some()
            && let Some(deployment) = below(rest, "/deployments")
        {
            return deployed(method, deployment);
        }
        let rest = azure.and_then(|_| below(rest, "/v1")).unwrap_or(rest);
        Some(plain(method, rest))
    }
}

impl Endpoint {
    /// How the model is found.
    #[must_use]
    pub const fn model_field(self) -> ModelField {
        match self {
            Self::Chat
            | Self::Completions
            | Self::Embeddings
            | Self::Responses
            | Self::Messages
            | Self::Audio => ModelField::Required,
            Self::Moderations | Self::Images => ModelField::Optional,
            Self::ModelList | Self::Model | Self::Realtime | Self::Raw => ModelField::None,
        }
    }

    /// The name used in metrics, logs and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Moderations => "moderations",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::ModelList => "models",
            Self::Model => "model",
            Self::Realtime => "realtime",
            Self::Raw => "raw",
        }
    }
}

/// What follows a prefix on a segment border: nothing, or a path with its slash.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// `{model}/chat/completions` and the like.
fn deployed(method: &Method, rest: &str) -> Option<Route> {
    let (model, rest) = rest.strip_prefix('/')?.split_once('/')?;
    let model = percent_decode_str(model).decode_utf8().ok().filter(|model| !model.is_empty())?;
    let path = format!("/{rest}");
    Some(Route { model: Some(model.into_owned()), ..plain(method, &path) })
}

/// Providers may read a path more leniently than we do, so that it is read as leniently here: else
/// a call could pass for another one, and by what a key may ask for.
fn plain(method: &Method, path: &str) -> Route {
    let decoded = percent_decode_str(path).decode_utf8().unwrap_or(Cow::Borrowed(path));
    let lower = decoded.to_ascii_lowercase();
    let segments: Vec<&str> = lower.split('/').filter(|segment| !segment.is_empty()).collect();
    let endpoint = endpoint(method, &segments);
    match endpoint {
        Endpoint::Raw => Route { endpoint, path: path.to_owned(), model: None },
        Endpoint::Model => {
            // Names of models may hold slashes.
            let name = decoded.trim_matches('/').split_once('/').map_or("", |(_, name)| name);
            Route { endpoint, path: path.to_owned(), model: Some(name.to_owned()) }
        }
        _ => Route { endpoint, path: format!("/{}", segments.join("/")), model: None },
    }
}

fn endpoint(method: &Method, segments: &[&str]) -> Endpoint {
    let posted = method == Method::POST;
    match segments {
        ["chat", "completions"] if posted => Endpoint::Chat,
        ["completions"] if posted => Endpoint::Completions,
        ["embeddings"] if posted => Endpoint::Embeddings,
        ["responses"] | ["responses", "compact" | "input_tokens"] if posted => Endpoint::Responses,
        ["messages"] | ["messages", "count_tokens"] if posted => Endpoint::Messages,
        ["moderations"] if posted => Endpoint::Moderations,
        ["images", "generations" | "edits" | "variations"] if posted => Endpoint::Images,
        ["audio", "speech" | "transcriptions" | "translations"] if posted => Endpoint::Audio,
        ["models"] if method == Method::GET => Endpoint::ModelList,
        ["models", _, ..] if method == Method::GET => Endpoint::Model,
        ["realtime"] if method == Method::GET => Endpoint::Realtime,
        _ => Endpoint::Raw,
    }
}

/// Whether a path could lead out of a provider's base: what is sent on carries our key.
fn has_dots(path: &str) -> bool {
    path.split(['/', '\\']).any(|segment| {
        let decoded = percent_decode_str(segment).collect::<Vec<u8>>();
        decoded == b"."
            || decoded == b".."
            || decoded.contains(&b'/') && decoded.windows(2).any(|w| w == b"..")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, method: &Method, path: &str) -> Option<(Endpoint, String, Option<String>)> {
        let route = Prefix::new(prefix).route(method, path)?;
        Some((route.endpoint, route.path, route.model))
    }

    #[test]
    fn paths_lead_to_endpoints() {
        let post = [
            ("/v1/chat/completions", Endpoint::Chat, "/chat/completions"),
            ("/v1/chat/completions/", Endpoint::Chat, "/chat/completions"),
            ("/v1//Chat/%63ompletions", Endpoint::Chat, "/chat/completions"),
            ("/v1/chat%2Fcompletions", Endpoint::Chat, "/chat/completions"),
            ("/v1/completions", Endpoint::Completions, "/completions"),
            ("/v1/embeddings", Endpoint::Embeddings, "/embeddings"),
            ("/v1/responses", Endpoint::Responses, "/responses"),
            ("/v1/responses/input_tokens", Endpoint::Responses, "/responses/input_tokens"),
            ("/v1/responses/resp_1/cancel", Endpoint::Raw, "/responses/resp_1/cancel"),
            ("/v1/messages", Endpoint::Messages, "/messages"),
            ("/v1/messages/count_tokens", Endpoint::Messages, "/messages/count_tokens"),
            ("/v1/moderations", Endpoint::Moderations, "/moderations"),
            ("/v1/images/edits", Endpoint::Images, "/images/edits"),
            ("/v1/audio/transcriptions", Endpoint::Audio, "/audio/transcriptions"),
            ("/v1/files", Endpoint::Raw, "/files"),
            ("/v1/models", Endpoint::Raw, "/models"),
            ("/v1", Endpoint::Raw, ""),
            ("/openai/v1/chat/completions", Endpoint::Chat, "/chat/completions"),
            ("/openai/responses", Endpoint::Responses, "/responses"),
            ("/openai/files/f%2F1/content", Endpoint::Raw, "/files/f%2F1/content"),
        ];
        for (path, endpoint, rest) in post {
            assert_eq!(route("/v1", &Method::POST, path), Some((endpoint, rest.to_owned(), None)), "{path}");
        }
        let get = |path| route("/v1", &Method::GET, path).map(|(endpoint, _, model)| (endpoint, model));
        assert_eq!(get("/v1/models"), Some((Endpoint::ModelList, None)));
        assert_eq!(get("/v1/models/gpt-4o"), Some((Endpoint::Model, Some("gpt-4o".to_owned()))));
        assert_eq!(get("/v1/models/a%2Fb/c"), Some((Endpoint::Model, Some("a/b/c".to_owned()))));
        assert_eq!(get("/v1/chat/completions"), Some((Endpoint::Raw, None)));
        assert_eq!(get("/v1/realtime"), Some((Endpoint::Realtime, None)));
    }

    #[test]
    fn azure_names_the_model_in_the_path() {
        let path = "/openai/deployments/gpt%204o/chat/completions";
        let expected = (Endpoint::Chat, "/chat/completions".to_owned(), Some("gpt 4o".to_owned()));
        assert_eq!(route("/v1", &Method::POST, path), Some(expected.clone()));
        let path = "/llm/openai/deployments/gpt%204o/chat/completions";
        assert_eq!(route("/llm/v1", &Method::POST, path), Some(expected.clone()));
        assert_eq!(route("/llm", &Method::POST, path), Some(expected));
    }

    #[test]
    fn other_paths_are_not_ours() {
        for path in ["/", "/v1x/chat", "/openaix", "/x/v1/models"] {
            assert_eq!(route("/v1", &Method::GET, path), None, "{path}");
            assert!(!Prefix::new("/v1").owns(path), "{path}");
        }
        for path in ["/v1/../admin", "/v1/%2e%2E/admin", "/v1/a%2f..%2fb", "/v1/./x", "/openai/deployments/x"]
        {
            assert_eq!(route("/v1", &Method::GET, path), None, "{path}");
            assert!(Prefix::new("/v1").owns(path), "{path}");
        }
        assert!(Prefix::new("/").owns("/anything"));
    }
}
