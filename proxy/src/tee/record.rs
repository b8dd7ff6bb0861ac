//! One record of app traffic, as one line of JSON. The conversion is work for the sink's thread.

use std::net::IpAddr;

use bytes::Bytes;
use http::Method;
use lockstep_controller::{AppId, VersionId};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::capture::Body;
use crate::audit::body::{BodyRules, Capture};
use crate::audit::contents::Headers;
use crate::audit::json_body;
use crate::audit::redact::{Masked, Redactor, StreamMask};
use crate::audit::stream::{is_events, is_text};
use crate::media_type;
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

/// Who answered a request, or should have.
#[derive(Debug)]
pub struct Route {
    /// The app.
    pub app: AppId,
    /// The version, if one was chosen.
    pub version: Option<VersionId>,
    /// Why this one, or why none.
    pub reason: Reason,
}

/// Headers and body of one direction.
#[derive(Debug)]
pub struct Side {
    /// Headers from the allow-list.
    pub headers: Headers,
    /// The body.
    pub body: Body,
}

impl Record {
    /// Bytes that it holds in memory, roughly.
    #[must_use]
    pub fn size(&self) -> usize {
        const FIXED: usize = 1024;
        let headers = |side: &Side| -> usize {
            side.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
        };
        let text = self.path.len() + self.user_agent.as_ref().map_or(0, String::len);
        let sides = [&self.request, &self.response];
        FIXED + text + sides.map(|side| headers(side) + side.body.kept()).iter().sum::<usize>()
    }

    /// The record as JSON, without what the journal adds.
    #[must_use]
    pub fn to_json(&self, rules: &BodyRules) -> Value {
        let masked = |text: &Option<String>| text.as_ref().map(|text| rules.redact.text(text).into_owned());
        json!({
            "id": self.id.to_string(),
            "type": "http",
            "started_at": self.started_at,
            "first_byte_at": self.first_byte_at,
            "outcome": self.outcome(),
            "client": {
                "addr": self.client,
                "user_agent": masked(&self.user_agent),
                "request_id": masked(&self.request_id),
            },
            "route": self.route.as_ref().map(|route| json!({
                "app": route.app.to_string(), "version": route.version.as_ref().map(VersionId::as_str), "reason": route.reason.as_str(),
            })),
            "request": self.request.to_json(rules, [("method", json!(self.method.as_str())), ("path", json!(rules.redact.text(&self.path)))]),
            "response": self.response.to_json(rules, [("status", json!(self.status))]),
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
    fn to_json<const N: usize>(&self, rules: &BodyRules, fields: [(&str, Value); N]) -> Value {
        let mut object: Map<String, Value> =
            fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), json!(rules.redact.text(value))))
            .collect();
        object.insert("headers".to_owned(), Value::Object(headers));
        object.insert("bytes".to_owned(), json!(self.body.bytes));
        let (body, truncated) = self.body(rules);
        object.insert("truncated".to_owned(), json!(truncated));
        object.insert("sha256".to_owned(), json!(self.body.sha256()));
        object.insert("body".to_owned(), json!(body));
        Value::Object(object)
    }

    /// What is shown of the body, and whether that is all of it.
    fn body(&self, rules: &BodyRules) -> (Option<Box<RawValue>>, bool) {
        let cut = self.body.truncated;
        if rules.capture == Capture::Metadata || self.body.kept() == 0 {
            return (None, cut);
        }
        let bytes = Bytes::from(self.body.parts.concat());
        let content_type = self.headers.iter().find(|(name, _)| name == "content-type");
        let masked = match mask(&rules.redact, &bytes, content_type.map(|(_, value)| value.as_str())) {
            Masked::Same => bytes,
            Masked::Changed(masked) => masked,
            Masked::Hidden => return (None, true),
        };
        let kept = masked.slice(..masked.len().min(rules.max));
        let truncated = cut || kept.len() < masked.len();
        (json_body::show(&kept, truncated, false), truncated)
    }
}

/// A body with everything masked, as far as it can be looked into.
fn mask(redact: &Redactor, bytes: &Bytes, content_type: Option<&str>) -> Masked {
    let says = |what: fn(&str) -> bool| content_type.is_some_and(what);
    let is_readable = is_text(bytes) && content_type.is_none_or(media_type::is_text);
    if redact.is_empty() {
        Masked::Same
    } else if !is_readable {
        Masked::Hidden
    } else if says(media_type::is_events) && is_events(bytes) {
        let mut mask = StreamMask::new(redact.clone());
        mask.push(bytes);
        Masked::Changed(mask.finish())
    } else {
        redact.body(bytes, says(media_type::is_json))
    }
}

#[cfg(test)]
mod tests {
    use lockstep_queue::journal::Stamp;

    use super::*;
    use crate::audit::redact::Pointer;

    fn shown(body: &'static str, max: usize) -> (Value, Value) {
        let redact = Redactor::new(vec![Pointer::parse("/user").unwrap()], Vec::new());
        let rules = BodyRules { max, redact, ..BodyRules::default() };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let mut side = Side { headers, body: Body::new(true) };
        side.body.push(&Bytes::from_static(body.as_bytes()));
        let mut json = side.to_json(&rules, []);
        (json["body"].take(), json["truncated"].take())
    }

    #[test]
    fn streams_of_events_are_masked_as_such() {
        let redact = Redactor::new(
            vec![Pointer::parse("/user").unwrap()],
            vec![regex::Regex::new(r"\d{3}-\d{2}").unwrap()],
        );
        let rules = BodyRules { max: 1000, redact, ..BodyRules::default() };
        let headers = vec![("content-type".to_owned(), "text/event-stream; charset=utf-8".to_owned())];
        let mut side = Side { headers, body: Body::new(true) };
        let stream = "data: {\"user\":\"anna\",\"text\":\"123\"}\n\ndata: {\"text\":\"-45\"}\n\n";
        side.body.push(&Bytes::from_static(stream.as_bytes()));
        let shown = side.to_json(&rules, [])["body"].as_str().unwrap().to_owned();
        assert!(!shown.contains("anna") && !shown.contains("123") && !shown.contains("-45"), "{shown}");
        for body in [&b"{\"user\":\"anna\"}"[..], b"event: error\n{\"user\":\"anna\"}\n\n", b"\x1f\x8b\xff"] {
            let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
            let mut side = Side { headers, body: Body::new(true) };
            side.body.push(&Bytes::copy_from_slice(body));
            let shown = side.to_json(&rules, []);
            assert!(!shown["body"].to_string().contains("anna"), "{shown}");
            assert_eq!(shown["truncated"], body.starts_with(b"\x1f"), "{shown}");
        }
    }

    #[test]
    fn it_is_as_the_schema_says_and_masked() {
        let side = || Side {
            headers: vec![("user-agent".to_owned(), "curl secret".to_owned())],
            body: Body::new(true),
        };
        let route = Route {
            app: "shop".parse().unwrap(),
            version: Some("v1".parse().unwrap()),
            reason: Reason::NoEndpoint,
        };
        let record = Record {
            id: ulid::Ulid::generate(),
            started_at: jiff::Timestamp::now(),
            first_byte_at: None,
            refusal: Some(Reason::NoEndpoint),
            client: IpAddr::from([127, 0, 0, 1]),
            user_agent: Some("curl secret".to_owned()),
            request_id: None,
            route: Some(route),
            method: Method::GET,
            path: "/secret".to_owned(),
            request: side(),
            status: 503,
            response: side(),
        };
        let redact = Redactor::new(Vec::new(), vec![regex::Regex::new("secret").unwrap()]);
        let fields = record.to_json(&BodyRules { redact, ..BodyRules::default() }).to_string();
        let line =
            crate::audit::record::line(fields.as_bytes(), "n", Stamp { seq: 0, at_millis: 1 }).unwrap();
        crate::audit::schema::check(&serde_json::from_slice(&line).unwrap());
        assert!(!fields.contains("secret") && fields.contains("curl [redacted]"), "{fields}");
    }

    #[test]
    fn a_body_is_masked_cut_or_hidden_and_says_so() {
        for (body, max, expected, truncated) in [
            (r#"{"user":"anna"}"#, 100, json!({"user": "[redacted]"}), false),
            (r#"{"user":"an"#, 100, Value::Null, true),
            (r#"{"a":1}"#, 4, json!("{\"a\""), true),
        ] {
            assert_eq!(shown(body, max), (expected, json!(truncated)), "{body}");
        }
    }
}
