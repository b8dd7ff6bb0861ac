//! What kind of failure a provider's error is, whatever words the provider has for it.

/// What went wrong, as far as the gateway acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request does not fit the context window of the model.
    ContextLength,
    /// The provider rejects the content for its policy.
    ContentRejected,
    /// The provider has no such model or deployment.
    UnknownModel,
    /// The key is wrong, or not allowed to do this.
    Credentials,
    /// Too many requests or tokens, or no quota left.
    RateLimited,
    /// The provider has no capacity.
    Overloaded,
    /// The request is at fault in another way.
    InvalidRequest,
    /// The provider failed.
    Server,
    /// None of these, as far as can be told.
    Other,
}

/// The words of an error, in lower case.
pub(super) struct Words<'a> {
    /// `code`, `type` and inner codes.
    pub(super) names: &'a [String],
    /// The message.
    pub(super) message: &'a str,
}

const CONTEXT_NAMES: [&str; 3] =
    ["context_length_exceeded", "exceed_context_size_error", "model_max_prompt_tokens_exceeded"];
const CONTEXT_PHRASES: [&str; 8] = [
    "maximum context length",
    "prompt is too long",
    "input is too long",
    "exceed context limit",
    "exceeds the context window",
    "exceed the context window",
    "exceeds the available context size",
    "exceeds the model's context",
];
const CONTENT_NAMES: [&str; 7] = [
    "content_filter",
    "content_policy_violation",
    "responsibleaipolicyviolation",
    "image_content_policy_violation",
    "contentfilter",
    "moderation_blocked",
    "invalid_prompt",
];
const CONTENT_PHRASES: [&str; 4] = [
    "content filtering policy",
    "content management policy",
    "our safety system",
    "violating our usage polic",
];
const MODEL_NAMES: [&str; 5] =
    ["model_not_found", "deploymentnotfound", "unknown_model", "invalid_model", "unavailable_model"];

impl ErrorKind {
    /// Tells the kind by the names that the provider gives, then by its message where the status
    /// allows for it, then by the status alone.
    pub(super) fn of(status: Option<u16>, words: &Words<'_>) -> Self {
        let refused = matches!(status, None | Some(400 | 403 | 413 | 422));
        if words.named(&CONTEXT_NAMES) || (refused && words.say(&CONTEXT_PHRASES)) {
            return Self::ContextLength;
        }
        if words.named(&CONTENT_NAMES) || (refused && words.say(&CONTENT_PHRASES)) {
            return Self::ContentRejected;
        }
        let missing = status == Some(404) && words.say(&["model", "deployment", "resource not found"]);
        if words.named(&MODEL_NAMES) || missing {
            return Self::UnknownModel;
        }
        status.map_or(Self::Other, Self::of_status)
    }

    fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Credentials,
            429 => Self::RateLimited,
            503 | 529 => Self::Overloaded,
            500..=599 => Self::Server,
            400 | 404 | 405 | 409 | 413 | 415 | 422 => Self::InvalidRequest,
            _ => Self::Other,
        }
    }
}

impl Words<'_> {
    fn named(&self, names: &[&str]) -> bool {
        self.names.iter().any(|name| names.contains(&name.as_str()))
    }

    fn say(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.message.contains(phrase))
    }
}

/// The status that an error's `type` or `code` stands for, by the error tables of OpenAI, Azure and
/// Anthropic. Takes lower case.
pub(super) fn status_of_name(name: &str) -> Option<u16> {
    let status = match name {
        "invalid_request_error" | "bad_request" | "badrequest" | "badrequesterror" | "invalid_prompt" => 400,
        "context_length_exceeded" | "content_filter" | "content_policy_violation" => 400,
        "authentication_error" | "invalid_api_key" | "invalid_authentication" | "unauthorized" => 401,
        "billing_error" => 402,
        "permission_error" | "permission_denied" | "permissiondenied" | "request_forbidden" => 403,
        "not_found_error" | "model_not_found" | "deploymentnotfound" | "notfounderror" => 404,
        "conflict_error" => 409,
        "request_too_large" => 413,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "insufficient_quota"
        | "requests"
        | "tokens"
        | "slow_down" => 429,
        "api_error" | "server_error" | "internal_error" | "internal_server_error" | "internalservererror" => {
            500
        }
        "service_unavailable" | "service_unavailable_error" | "server_overloaded" | "overloaded" => 503,
        "timeout_error" | "timeout" => 504,
        "overloaded_error" => 529,
        _ => return None,
    };
    Some(status)
}
