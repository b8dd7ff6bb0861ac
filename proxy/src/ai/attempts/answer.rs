//! What the answer of a provider that refuses means. Providers say the same thing in many words;
//! these are those of OpenAI, Azure and Anthropic and of servers that imitate them.

use std::time::Duration;

use crate::ai::json;

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The provider can't at the moment.
    Unable,
    /// It is asked too often.
    RateLimited,
    /// Our account with it is used up: waiting does not help.
    QuotaSpent,
    /// The prompt is longer than the model takes.
    ContextLength,
    /// It refuses what the request asks for.
    ContentRejected,
    /// The request is wrong, whoever is asked.
    Invalid,
    /// It does not accept the credentials.
    Credentials,
    /// It does not know the model.
    UnknownModel,
    /// Anything else that is passed on.
    Other,
}

/// A provider's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// What it means.
    pub meaning: Meaning,
    /// How long the provider asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// The words of an error, in lower case.
#[derive(Debug, Default)]
struct Words {
    code: String,
    kind: String,
    message: String,
}

impl Refusal {
    /// The refusal in a plain answer.
    #[must_use]
    pub fn of_answer(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let words = Words::of(body);
        Self { status, meaning: words.meaning(status), retry_after }
    }

    /// The refusal in the first event of a stream, if it is one: with the status that it names, else
    /// 500.
    #[must_use]
    pub fn of_event(data: &[u8]) -> Option<Self> {
        let [error, kind, code, status] = json::find(data, ["error", "type", "code", "status"]).ok()?;
        let error = error.filter(|error| !json::is_null(error));
        let named_error = kind.is_some_and(|kind| kind.get() == "\"error\"");
        if error.is_none() && !named_error {
            return None;
        }
        let inner = error.map(|error| json::find(error.get().as_bytes(), ["code", "status", "type"]));
        let inner = inner.and_then(Result::ok).unwrap_or_default();
        let number = |value: &serde_json::value::RawValue| {
            value.get().trim_matches('"').parse().ok().filter(|status| (400..=599).contains(status))
        };
        let words = Words::of(data);
        let given = inner.iter().chain([&code, &status]).flatten().find_map(|value| number(value));
        let status = given.unwrap_or_else(|| words.status());
        Some(Self { status, meaning: words.meaning(status), retry_after: None })
    }
}

impl Words {
    fn of(body: &[u8]) -> Self {
        let text = |value: Option<&serde_json::value::RawValue>| {
            value.and_then(json::string).unwrap_or_default().to_lowercase()
        };
        let Ok([error, kind, code, message, detail]) =
            json::find(body, ["error", "type", "code", "message", "detail"])
        else {
            return Self::default();
        };
        let Some(error) = error else {
            let message = if message.is_some() { message } else { detail };
            return Self { code: text(code), kind: text(kind), message: text(message) };
        };
        match json::find(error.get().as_bytes(), ["code", "type", "message", "innererror"]) {
            Ok([code, kind, message, inner]) => {
                // Azure names what its filter did within.
                let inner = inner.and_then(|inner| json::find(inner.get().as_bytes(), ["code"]).ok());
                let inner = inner.and_then(|[code]| code);
                let code = [code, inner].map(text).join(" ");
                Self { code: code.trim().to_owned(), kind: text(kind), message: text(message) }
            }
            Err(_) => Self { message: text(Some(error)), ..Self::default() },
        }
    }

    fn meaning(&self, status: u16) -> Meaning {
        if self.is_context_length() {
            return Meaning::ContextLength;
        }
        if self.is_content_rejection() {
            return Meaning::ContentRejected;
        }
        match status {
            401 => Meaning::Credentials,
            403 => Meaning::Credentials,
            404 if self.is_unknown_model() => Meaning::UnknownModel,
            400 if self.code.contains("model_not_found") => Meaning::UnknownModel,
            400 | 422 => Meaning::Invalid,
            429 if self.is_quota() => Meaning::QuotaSpent,
            429 => Meaning::RateLimited,
            408 | 409 | 500.. => Meaning::Unable,
            _ => Meaning::Other,
        }
    }

    /// The status of an error in a stream that does not name one.
    fn status(&self) -> u16 {
        match self.kind.as_str() {
            "invalid_request_error" if self.is_context_length() => 400,
            "rate_limit_error" | "requests" | "tokens" => 429,
            "overloaded_error" => 529,
            "authentication_error" => 401,
            "permission_error" => 403,
            "not_found_error" => 404,
            "invalid_request_error" => 400,
            _ if self.code.contains("rate_limit") => 429,
            _ if self.is_context_length() || self.is_content_rejection() => 400,
            _ => 500,
        }
    }

    fn is_context_length(&self) -> bool {
        self.code.contains("context_length_exceeded")
            || self.message.contains("maximum context length")
            || self.message.contains("prompt is too long")
    }

    fn is_content_rejection(&self) -> bool {
        const WORDS: [&str; 4] =
            ["content_filter", "content_policy", "responsibleaipolicyviolation", "moderation_blocked"];
        WORDS.iter().any(|word| self.code.contains(word) || self.kind.contains(word))
    }

    fn is_unknown_model(&self) -> bool {
        self.code.contains("model_not_found")
            || self.code.contains("deploymentnotfound")
            || (self.message.contains("model") && self.kind != "")
    }

    fn is_quota(&self) -> bool {
        ["insufficient_quota", "billing_hard_limit_reached"]
            .iter()
            .any(|word| self.code.contains(word) || self.kind.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_understood() {
        use Meaning as M;
        let cases = [
            (500, "", M::Unable),
            (503, "<html>", M::Unable),
            (408, "{}", M::Unable),
            (409, "{}", M::Unable),
            (429, r#"{"error":{"code":"rate_limit_exceeded","type":"requests"}}"#, M::RateLimited),
            (429, r#"{"error":{"code":"insufficient_quota","type":"insufficient_quota"}}"#, M::QuotaSpent),
            (400, r#"{"error":{"code":"context_length_exceeded"}}"#, M::ContextLength),
            (
                400,
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 5"}}"#,
                M::ContextLength,
            ),
            (
                400,
                r#"{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
                M::ContentRejected,
            ),
            (403, r#"{"error":{"code":"content_policy_violation"}}"#, M::ContentRejected),
            (400, r#"{"error":{"code":null,"message":"bad"}}"#, M::Invalid),
            (422, r#"{"detail":"bad"}"#, M::Invalid),
            (401, r#"{"error":"no"}"#, M::Credentials),
            (403, "", M::Credentials),
            (404, r#"{"error":{"code":"model_not_found"}}"#, M::UnknownModel),
            (404, r#"{"error":{"code":"DeploymentNotFound"}}"#, M::UnknownModel),
            (
                404,
                r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}"#,
                M::UnknownModel,
            ),
            (404, r#"{"detail":"Not Found"}"#, M::Other),
            (413, "", M::Other),
        ];
        for (status, body, expected) in cases {
            assert_eq!(
                Refusal::of_answer(status, body.as_bytes(), None).meaning,
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn errors_at_the_beginning_of_a_stream_have_a_status() {
        let cases = [
            (r#"{"error":{"message":"x","code":429}}"#, Some(429)),
            (r#"{"error":{"message":"x","code":"503"}}"#, Some(503)),
            (r#"{"error":{"message":"x","type":"server_error","code":null}}"#, Some(500)),
            (r#"{"error":"x"}"#, Some(500)),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, Some(529)),
            (r#"{"type":"error","code":"rate_limit_exceeded","message":"x"}"#, Some(429)),
            (r#"{"error":{"code":"context_length_exceeded"}}"#, Some(400)),
            (r#"{"error":null,"choices":[]}"#, None),
            (r#"{"choices":[]}"#, None),
            ("nonsense", None),
        ];
        for (data, expected) in cases {
            assert_eq!(Refusal::of_event(data.as_bytes()).map(|refusal| refusal.status), expected, "{data}");
        }
    }
}
