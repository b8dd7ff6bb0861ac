//! What an answer of the server means for the upload.

use std::error::Error;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::ship::sink::{Cause, PutError};

/// Codes of refusals that are none: the request was spoiled on its way, came at the wrong moment, or
/// with a token that is renewed.
const PASSING: [&str; 10] = [
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "IncompleteBody",
    "RequestTimeout",
    "SlowDown",
    "ExpiredToken",
    "TokenRefreshRequired",
    "NoSuchUpload",
    "InvalidPart",
];

/// An upload that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something has the key.
    Taken,
    /// Anything else.
    Other(PutError),
}

impl Failure {
    pub(super) fn of<E>(error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|response| response.status().as_u16());
        if status == Some(412) {
            return Self::Taken;
        }
        let passing = match (status, error.code()) {
            (_, Some(code)) if PASSING.contains(&code) => true,
            // 409: another upload to this key, or its removal, is under way.
            (Some(408 | 409 | 425 | 429), _) => true,
            (Some(300..=499), _) => false,
            // No answer, or none that makes sense, or a failure of the server's.
            _ => true,
        };
        let cause = cause(error);
        Self::Other(if passing { PutError::Retry(cause) } else { PutError::Refused(cause) })
    }
}

impl From<Failure> for PutError {
    fn from(failure: Failure) -> Self {
        match failure {
            // Reads set no condition.
            Failure::Taken => Self::Retry("a condition failed that was not set".into()),
            Failure::Other(error) => error,
        }
    }
}

/// The server's words if there are any; otherwise what failed, and why.
pub(super) fn cause<E>(error: &SdkError<E>) -> Cause
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}").into(),
        _ => chain(error).into(),
    }
}

/// An error and its sources, in a line.
pub(super) fn chain(error: &dyn Error) -> String {
    let sources = std::iter::successors(Some(error), |error: &&dyn Error| (**error).source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
