//! One record of app traffic, as one line of JSON. The conversion is work for the sink's thread.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http::Method;
use lockstep_controller::{AppId, VersionId};
use serde::Serialize;

use super::capture::Body;
use crate::audit::body::{BodyRules, Kind};
use crate::audit::contents::Headers;
use crate::audit::redact::{Masked, Redactor, StreamMask};
use crate::audit::stream::{is_events, is_text};
use crate::audit::{json_body, record};
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

/// A record as `docs/audit.md` lists it, without what the journal adds.
#[derive(Serialize)]
struct Fields<'r> {
    id: String,
    r#type: &'static str,
    started_at: jiff::Timestamp,
    first_byte_at: Option<jiff::Timestamp>,
    outcome: &'static str,
    client: Client,
    route: Option<RouteFields<'r>>,
    request: Request<'r>,
    response: Response,
}

#[derive(Serialize)]
struct Client {
    addr: IpAddr,
    user_agent: Option<String>,
    request_id: Option<String>,
}

#[derive(Serialize)]
struct RouteFields<'r> {
    app: String,
    version: Option<&'r str>,
    reason: &'static str,
}

#[derive(Serialize)]
struct Request<'r> {
    method: &'r str,
    path: Cow<'r, str>,
    #[serde(flatten)]
    side: record::Side,
}

#[derive(Serialize)]
struct Response {
    status: u16,
    #[serde(flatten)]
    side: record::Side,
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

    /// The record as a JSON object, without what the journal adds.
    ///
    /// # Errors
    /// If it can't be written as JSON, which nothing here can bring about.
    pub fn fields(&self, rules: &BodyRules) -> Result<Vec<u8>, serde_json::Error> {
        let masked = |text: &Option<String>| text.as_ref().map(|text| rules.redact.text(text).into_owned());
        serde_json::to_vec(&Fields {
            id: self.id.to_string(),
            r#type: "http",
            started_at: self.started_at,
            first_byte_at: self.first_byte_at,
            outcome: self.outcome(),
            client: Client {
                addr: self.client,
                user_agent: masked(&self.user_agent),
                request_id: masked(&self.request_id),
            },
            route: self.route.as_ref().map(|route| RouteFields {
                app: route.app.to_string(),
                version: route.version.as_ref().map(VersionId::as_str),
                reason: route.reason.as_str(),
            }),
            request: Request {
                method: self.method.as_str(),
                path: rules.redact.text(&self.path),
                side: self.request.shown(rules),
            },
            response: Response { status: self.status, side: self.response.shown(rules) },
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
    fn shown(&self, rules: &BodyRules) -> record::Side {
        let masked = |(name, value): &(Cow<'_, str>, String)| {
            (name.to_string(), rules.redact.text(value).into_owned())
        };
        let headers = self.headers.iter().map(masked).collect();
        let kind = Kind::of(self.header("content-type"), self.header("content-encoding"));
        let (kept, truncated) = self.kept(rules, kind);
        let binary = kind == Kind::Binary && !kept.is_empty();
        record::Side {
            headers,
            body: json_body::show(&kept, truncated, binary),
            encoding: binary.then_some(record::BASE64),
            bytes: self.body.bytes,
            sha256: self.body.sha256(),
            truncated,
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// What may be shown of the body, and whether that is less than what was to be.
    fn kept(&self, rules: &BodyRules, kind: Kind) -> (Bytes, bool) {
        let (wanted, cut) = (rules.want(kind), self.body.truncated);
        if !wanted || self.body.kept() == 0 {
            return (Bytes::new(), wanted && cut);
        }
        let bytes = self.body.concat();
        let masked = match self.mask(&rules.redact, &bytes, kind) {
            Masked::Same => bytes,
            Masked::Changed(masked) => masked,
            Masked::Hidden => return (Bytes::new(), true),
        };
        let kept = masked.slice(..masked.len().min(rules.max));
        let truncated = cut || kept.len() < masked.len();
        (kept, truncated)
    }

    /// What is kept of the body with everything masked, as far as it can be looked into. Of one that goes on nothing is
    /// shown that may be the beginning of a match.
    fn mask(&self, redact: &Redactor, bytes: &Bytes, kind: Kind) -> Masked {
        let says = |what: fn(&str) -> bool| self.header("content-type").is_some_and(what);
        let goes_on = self.body.truncated;
        if redact.is_empty() {
            return Masked::Same;
        }
        if kind == Kind::Binary || !is_text(bytes) {
            return Masked::Hidden;
        }
        if says(media_type::is_events) && is_events(bytes) {
            let mut mask = StreamMask::new(redact.clone());
            mask.push(bytes);
            return Masked::Changed(if goes_on { mask.release() } else { mask.finish() });
        }
        // What says that it is a stream of events and is none has JSON somewhere, all the same.
        let is_json = says(media_type::is_json) || says(media_type::is_events);
        if goes_on { redact.beginning(bytes, is_json) } else { redact.body(bytes, is_json) }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use lockstep_queue::journal::Stamp;
    use serde_json::{Value, json};

    use super::super::capture::MAX_BODY;
    use super::*;
    use crate::audit::redact::Pointer;

    const NUMBER: &str = r"\d{3}-\d{2}";

    fn masking(patterns: &[&str]) -> BodyRules {
        let patterns = patterns.iter().map(|pattern| regex::Regex::new(pattern).unwrap()).collect();
        let redact = Redactor::new(vec![Pointer::parse("/user").unwrap()], patterns);
        BodyRules { max: 1 << 20, redact, ..BodyRules::default() }
    }

    fn side(content_type: &str, body: &[u8]) -> Side {
        let headers = vec![("content-type".into(), content_type.to_owned())];
        let mut side = Side { headers, body: Body::new(true) };
        side.body.push(&Bytes::copy_from_slice(body));
        side
    }

    fn shown(side: &Side, rules: &BodyRules) -> Value {
        serde_json::to_value(side.shown(rules)).unwrap()
    }

    #[test]
    fn streams_of_events_are_masked_as_such() {
        let rules = masking(&[NUMBER]);
        let stream = "data: {\"text\":\"123\",\"user\":\"anna\"}\n\ndata: {\"text\":\"-45\"}\n\n";
        let shown_of = |body: &[u8]| shown(&side("text/event-stream; charset=utf-8", body), &rules);
        for before in ["", "\n\n", "\r\n", "\u{feff}", "\u{feff}\n"] {
            let shown =
                shown_of((before.to_owned() + stream).as_bytes())["body"].as_str().unwrap().to_owned();
            let expected =
                "data: {\"text\":\"[redacted]\",\"user\":\"[redacted]\"}\n\ndata: {\"text\":\"\"}\n\n";
            assert!(shown.ends_with(expected), "{before:?}: {shown}");
        }
        for (body, truncated) in [
            (&b"{\"user\":\"anna\"}"[..], false),
            (b"event: error\n{\"user\":\"anna\"}\n\n", false),
            (b"data: hi\r\rdata: {\"user\":\"anna\"}\r\r", false),
            (b"unknown: hi\ndata: {\"user\":\"anna\"}\n\n", true),
            (b"\x1f\x8b\xff", true),
        ] {
            let shown = shown_of(body);
            assert!(!shown["body"].to_string().contains("anna"), "{shown}");
            assert_eq!(shown["truncated"], truncated, "{shown}");
        }
    }

    #[test]
    fn what_is_cut_does_not_show_the_beginning_of_a_match() {
        let rules = masking(&[NUMBER]);
        for (content_type, begin, before, behind) in [
            ("text/plain", "", "123-", "45 and more"),
            ("text/event-stream", ": ", "\n\ndata: {\"a\":\"123-", "45\"}\n\n"),
            ("text/event-stream", ": ", "\n\ndata: {\"a\":\"123-\"}\n\n", "data: {\"a\":\"45\"}\n\n"),
        ] {
            let filler = "x".repeat(MAX_BODY - begin.len() - before.len());
            let body = [begin, &filler, before, behind].concat();
            let shown = shown(&side(content_type, body.as_bytes()), &rules);
            let text = shown["body"].as_str().unwrap();
            assert!(text.contains(&filler) && !text.contains("123"), "{before:?}: {}", text.len());
            assert_eq!(shown["truncated"], true, "{before:?}");
        }
    }

    #[test]
    fn binary_and_multipart_bodies_are_kept_only_if_they_are_to_be() {
        let body = b"--x\r\n\r\nsecret\r\n--x--";
        let multipart = side("multipart/form-data; boundary=x", body);
        let mut coded = side("text/plain", body);
        coded.headers.push(("content-encoding".into(), "br".to_owned()));
        let rules = BodyRules { max: 1000, ..BodyRules::default() };
        for side in [multipart, coded] {
            let sized = shown(&side, &rules);
            assert_eq!((&sized["body"], &sized["truncated"]), (&Value::Null, &json!(false)), "{sized}");
            assert!(sized["bytes"] == body.len() && sized["sha256"].is_string(), "{sized}");
            let kept = shown(&side, &BodyRules { binary: true, ..rules.clone() });
            assert_eq!((&kept["body"], &kept["encoding"]), (&json!(STANDARD.encode(body)), &json!("base64")));
            let hidden = shown(&side, &BodyRules { binary: true, ..masking(&[]) });
            assert_eq!((&hidden["body"], &hidden["truncated"]), (&Value::Null, &json!(true)), "{hidden}");
        }
    }

    #[test]
    fn whatever_clients_send_is_recorded_as_it_came() {
        let rules = BodyRules { max: 1000, ..BodyRules::default() };
        let deep = "[".repeat(130) + &"]".repeat(130);
        for (body, expected) in [
            (r#"{"a":1e999,"a":12345678901234567890123}"#, None),
            (r#""\ud83d""#, Some(r#""\"\\ud83d\"""#)),
            (&deep, Some(&*format!("\"{deep}\""))),
        ] {
            let mut record = record(&Vec::new());
            record.request = side("application/json", body.as_bytes());
            let fields = String::from_utf8(record.fields(&rules).unwrap()).unwrap();
            let expected = format!(r#""body":{},"#, expected.unwrap_or(body));
            assert!(fields.contains(&expected), "{fields}");
        }
    }

    fn record(headers: &Headers) -> Record {
        let side = || Side { headers: headers.clone(), body: Body::new(true) };
        let route = Route {
            app: "shop".parse().unwrap(),
            version: Some("v1".parse().unwrap()),
            reason: Reason::NoEndpoint,
        };
        Record {
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
        }
    }

    #[test]
    fn it_is_as_the_schema_says_and_masked() {
        let mut record = record(&vec![("user-agent".into(), "curl secret".to_owned())]);
        record.response = side("audio/mpeg", b"sound");
        let rules = BodyRules { binary: true, max: 100, ..BodyRules::default() };
        let redact = Redactor::new(Vec::new(), vec![regex::Regex::new("secret").unwrap()]);
        for rules in [BodyRules { redact, ..rules.clone() }, rules] {
            let fields = record.fields(&rules).unwrap();
            let line = record::line(&fields, "n", Stamp { seq: 0, at_millis: 1 }).unwrap();
            crate::audit::schema::check(&serde_json::from_slice(&line).unwrap());
            let fields = String::from_utf8(fields).unwrap();
            let masked = !fields.contains("secret") && fields.contains("curl [redacted]");
            assert_eq!(masked, !rules.redact.is_empty(), "{fields}");
        }
    }

    #[test]
    fn a_body_is_masked_cut_or_hidden_and_says_so() {
        for (body, max, expected, truncated) in [
            (r#"{"user":"anna"}"#, 100, json!({"user": "[redacted]"}), false),
            (r#"{"user":"an"#, 100, Value::Null, true),
            (r#"{"a":1}"#, 4, json!("{\"a\""), true),
        ] {
            let shown = shown(&side("application/json", body.as_bytes()), &BodyRules { max, ..masking(&[]) });
            assert_eq!((&shown["body"], &shown["truncated"]), (&expected, &json!(truncated)), "{body}");
        }
    }
}
