//! What the answer of a provider that refuses means for the call.

use std::time::Duration;

use crate::ai::reading::{ErrorKind, ProviderError};

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

impl Refusal {
    /// The refusal that an error is: of an answer, or of the first event of a stream, which counts
    /// as the status that it names, else as 500.
    #[must_use]
    pub fn of(error: &ProviderError, retry_after: Option<Duration>) -> Self {
        let status = error.status.unwrap_or(match error.kind {
            ErrorKind::ContextLength | ErrorKind::ContentRejected => 400,
            _ => 500,
        });
        Self { status, meaning: meaning(status, error), retry_after }
    }
}

fn meaning(status: u16, error: &ProviderError) -> Meaning {
    match error.kind {
        ErrorKind::ContextLength => Meaning::ContextLength,
        ErrorKind::ContentRejected => Meaning::ContentRejected,
        ErrorKind::UnknownModel if matches!(status, 400 | 404) => Meaning::UnknownModel,
        // Providers tell it by 400, 402, 403 or 429.
        _ if status == 402 || is_quota(error) => Meaning::QuotaSpent,
        _ => match status {
            400 | 422 => Meaning::Invalid,
            401 | 403 => Meaning::Credentials,
            429 => Meaning::RateLimited,
            408 | 409 | 500.. => Meaning::Unable,
            _ => Meaning::Other,
        },
    }
}

fn is_quota(error: &ProviderError) -> bool {
    const WORDS: [&str; 2] = ["insufficient_quota", "billing_hard_limit_reached"];
    [&error.code, &error.error_type].into_iter().flatten().any(|word| WORDS.contains(&word.as_str()))
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
            (400, r#"{"error":{"code":"billing_hard_limit_reached"}}"#, M::QuotaSpent),
            (402, r#"{"error":{"message":"Insufficient Balance","type":"unknown_error"}}"#, M::QuotaSpent),
            (402, r#"{"type":"error","error":{"type":"billing_error","message":"x"}}"#, M::QuotaSpent),
            (400, r#"{"error":{"code":"context_length_exceeded"}}"#, M::ContextLength),
            (400, r#"{"error":{"code":"content_filter"}}"#, M::ContentRejected),
            (403, r#"{"error":{"code":"content_policy_violation"}}"#, M::ContentRejected),
            (400, r#"{"error":{"code":null,"message":"bad"}}"#, M::Invalid),
            (422, r#"{"detail":"bad"}"#, M::Invalid),
            (401, r#"{"error":"no"}"#, M::Credentials),
            (403, "", M::Credentials),
            (404, r#"{"error":{"code":"model_not_found"}}"#, M::UnknownModel),
            (404, r#"{"error":{"code":"DeploymentNotFound"}}"#, M::UnknownModel),
            (404, r#"{"detail":"Not Found"}"#, M::Other),
            (413, "", M::Other),
        ];
        for (status, body, expected) in cases {
            let refusal = Refusal::of(&ProviderError::read(status, body.as_bytes()), None);
            assert_eq!((refusal.status, refusal.meaning), (status, expected), "{status} {body}");
        }
    }

    #[test]
    fn errors_at_the_beginning_of_a_stream_have_a_status() {
        let cases = [
            (r#"{"error":{"message":"x","code":429}}"#, 429),
            (r#"{"error":{"message":"x","type":"server_error","code":null}}"#, 500),
            (r#"{"error":"x"}"#, 500),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#, 529),
            (r#"{"error":{"message":"the prompt is too long"}}"#, 400),
        ];
        for (data, expected) in cases {
            let error = ProviderError::in_event(None, data.as_bytes()).unwrap();
            assert_eq!(Refusal::of(&error, None).status, expected, "{data}");
        }
    }
}
