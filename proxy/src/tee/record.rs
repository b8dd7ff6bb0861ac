//! One record of app traffic, as one line of JSON. The conversion is work for the sink's thread.

use std::net::IpAddr;

use http::{HeaderName, Method};
use lockstep_controller::{AppId, VersionId};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::capture::Body;
use crate::reason::Reason;

/// What is recorded of one request.
#[derive(Debug)]
pub struct Record {
    /// Its own id.
    pub id: ulid::Ulid,
    /// When the head of the request was complete.
    pub started_at: jiff::Timestamp,
    /// When the head of the response passed.
    pub first_byte_at: Option<jiff::Timestamp>,
    /// When it was over.
    pub ended_at: jiff::Timestamp,
    /// Why it failed, if it did.
    pub refusal: Option<Reason>,
    /// The client's address.
    pub client: IpAddr,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
    /// The id that app and access log know it by.
    pub request_id: Option<String>,
    /// Who answered.
    pub route: Option<Route>,
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// Headers and body of the request.
    pub request: Side,
    /// The status of the response.
    pub status: u16,
    /// Headers and body of the response.
    pub response: Side,
}

/// Who answered a request.
#[derive(Debug)]
pub struct Route {
    /// The app.
    pub app: AppId,
    /// The version.
    pub version: VersionId,
    /// Why this one.
    pub reason: Reason,
}

/// Headers and body of one direction.
#[derive(Debug)]
pub struct Side {
    /// Headers from the allow-list.
    pub headers: Vec<(HeaderName, String)>,
    /// The body.
    pub body: Body,
}

impl Record {
    /// Bytes that it holds in memory, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        const FIXED: usize = 1024;
        FIXED + self.request.body.kept() + self.response.body.kept()
    }

    /// The record as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "v": 1,
            "id": self.id.to_string(),
            "type": "http",
            "started_at": self.started_at,
            "first_byte_at": self.first_byte_at,
            "ended_at": self.ended_at,
            "outcome": self.outcome(),
            "client": {"addr": self.client, "user_agent": self.user_agent, "request_id": self.request_id},
            "route": self.route.as_ref().map(|route| json!({
                "app": route.app.to_string(), "version": route.version.as_str(), "reason": route.reason.as_str(),
            })),
            "request": self.request.to_json([("method", json!(self.method.as_str())), ("path", json!(self.path))]),
            "response": self.response.to_json([("status", json!(self.status))]),
        })
    }

    fn outcome(&self) -> &'static str {
        match self.refusal {
            None => "complete",
            Some(Reason::ClientClosed) => "client_closed",
            Some(
                Reason::ConnectFailed | Reason::UpstreamFailed | Reason::UpstreamTimeout | Reason::NoEndpoint,
            ) => "upstream_error",
            Some(Reason::ShuttingDown) => "interrupted",
            Some(_) => "rejected",
        }
    }
}

impl Side {
    fn to_json<const N: usize>(&self, fields: [(&str, Value); N]) -> Value {
        let mut object: Map<String, Value> =
            fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        let headers: Map<String, Value> =
            self.headers.iter().map(|(name, value)| (name.as_str().to_owned(), json!(value))).collect();
        object.insert("headers".to_owned(), Value::Object(headers));
        object.insert("bytes".to_owned(), json!(self.body.bytes));
        object.insert("truncated".to_owned(), json!(self.body.truncated));
        if self.body.kept() > 0 {
            let bytes = self.body.parts.concat();
            object.insert("sha256".to_owned(), json!(hex(&Sha256::digest(&bytes))));
            object.insert("body".to_owned(), body(&bytes, self.body.truncated));
        }
        Value::Object(object)
    }
}

/// JSON as JSON, other text as a string, anything else not at all.
fn body(bytes: &[u8], truncated: bool) -> Value {
    let Ok(text) = std::str::from_utf8(bytes) else {
        // A limit may cut a character in two; only whole text is text.
        let whole = std::str::from_utf8(bytes.get(..bytes.len().saturating_sub(3)).unwrap_or_default());
        return whole.ok().filter(|_| truncated).map_or(Value::Null, |text| json!(text));
    };
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string can't fail.
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_text_or_nothing() {
        assert_eq!(body(b"{\"a\":1}", false), json!({"a": 1}));
        assert_eq!(body(b"hello", false), json!("hello"));
        assert_eq!(body(&[0xff, 0xfe, 0, 1], false), Value::Null);
        assert_eq!(hex(&[0, 255]), "00ff");
    }
}
