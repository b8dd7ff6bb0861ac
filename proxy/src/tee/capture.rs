//! Gathers what the tee records while a request passes by. Bodies are kept as references to the
//! buffers that pass anyway, up to a limit; only short ones are copied.

use std::iter;
use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::server::Session as HttpSession;

use sha2::{Digest as _, Sha256};

use super::record::{Record, Route, Side};
use crate::audit::headers::allowed;
use crate::config::model::AuditLevel;
use crate::edge::RequestContext;
use crate::front::Connection;

/// Bytes of one body that a record holds. Its digest covers all of it.
pub(super) const MAX_BODY: usize = 256 * 1024;
/// Buffers of fewer bytes are put together: many of them would take far more room than what is in them.
const SHORT: usize = 1024;

/// What was seen of one request so far.
pub struct Capture {
    started_at: jiff::Timestamp,
    first_byte_at: Option<jiff::Timestamp>,
    client: IpAddr,
    user_agent: Option<String>,
    method: Method,
    path: String,
    request: Side,
    response: Side,
    status: Option<StatusCode>,
}

/// A body, or its beginning.
#[derive(Debug, Default)]
pub struct Body {
    /// Buffers in order, short ones put together.
    parts: Vec<Bytes>,
    /// The short ones that came last.
    tail: BytesMut,
    /// Bytes that passed, kept or not.
    pub bytes: u64,
    /// Whether some were not kept.
    pub truncated: bool,
    kept: usize,
    /// Whether any are to be kept.
    keep: bool,
    /// The digest of what passed, once not all of it is kept.
    digest: Option<Sha256>,
}

impl Capture {
    /// Begins to record a request, if its app wants that.
    #[must_use]
    pub fn begin(level: AuditLevel, session: &HttpSession, connection: &Connection) -> Option<Box<Self>> {
        if level == AuditLevel::None {
            return None;
        }
        let request = session.req_header();
        let keep = level == AuditLevel::Full;
        Some(Box::new(Self {
            started_at: jiff::Timestamp::now(),
            first_byte_at: None,
            client: connection.client.ip(),
            user_agent: request.headers.get(header::USER_AGENT).map(text),
            method: request.method.clone(),
            path: request.uri.path().to_owned(),
            request: Side { headers: allowed(&request.headers), body: Body::new(keep) },
            response: Side { headers: Vec::new(), body: Body::new(keep) },
            status: None,
        }))
    }

    /// The request is sent anew: what was recorded of its body comes again.
    pub fn restart_request(&mut self) {
        self.request.body = Body::new(self.request.body.keep);
    }

    /// A part of the request body passed.
    pub fn request_body(&mut self, part: &Bytes) {
        self.request.body.push(part);
    }

    /// The head of the response passed.
    pub fn response(&mut self, response: &ResponseHeader) {
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        self.first_byte_at = Some(jiff::Timestamp::now());
        self.response.headers = allowed(&response.headers);
        self.status = Some(response.status);
    }

    /// A part of the response body passed.
    pub fn response_body(&mut self, part: &Bytes) {
        self.response.body.push(part);
    }

    /// The finished record; `status` is that of a response of Lockstep's own.
    #[must_use]
    pub fn finish(self, context: &RequestContext, status: u16) -> Record {
        Record {
            id: ulid::Ulid::generate(),
            started_at: self.started_at,
            first_byte_at: self.first_byte_at,
            refusal: context.refusal,
            client: self.client,
            user_agent: self.user_agent,
            request_id: context.request_id.as_ref().map(text),
            route: context.app().map(|app| Route {
                app: app.config().id.clone(),
                version: context.version().map(|version| version.id().clone()),
                reason: context.routed.as_ref().map_or(context.reason(), |routed| routed.reason),
            }),
            method: self.method,
            path: self.path,
            request: self.request,
            status: self.status.map_or(status, |status| status.as_u16()),
            response: self.response,
        }
    }
}

impl Body {
    pub(super) fn new(keep: bool) -> Self {
        Self { keep, ..Self::default() }
    }

    pub(super) fn push(&mut self, part: &Bytes) {
        self.bytes = self.bytes.saturating_add(part.len() as u64);
        let room = if self.keep { MAX_BODY - self.kept } else { 0 };
        let kept = part.slice(..part.len().min(room));
        if kept.len() < part.len() && self.keep {
            self.truncated = true;
            let (parts, tail) = (&self.parts, &self.tail);
            let begun = || pieces(parts, tail).fold(Sha256::new(), Sha256::chain_update);
            self.digest.get_or_insert_with(begun).update(part);
        } else if let Some(digest) = &mut self.digest {
            digest.update(part);
        }
        self.kept += kept.len();
        if kept.len() < SHORT {
            self.tail.extend_from_slice(&kept);
            return;
        }
        if !self.tail.is_empty() {
            self.parts.push(self.tail.split().freeze());
        }
        self.parts.push(kept);
    }

    /// What is kept, in one piece.
    #[must_use]
    pub fn concat(&self) -> Bytes {
        Bytes::from(pieces(&self.parts, &self.tail).collect::<Vec<_>>().concat())
    }

    /// The digest of all that passed, where bodies are kept.
    #[must_use]
    pub fn sha256(&self) -> Option<String> {
        if !self.keep || self.bytes == 0 {
            return None;
        }
        let all = || pieces(&self.parts, &self.tail).fold(Sha256::new(), Sha256::chain_update);
        Some(hex::encode(self.digest.clone().unwrap_or_else(all).finalize()))
    }

    /// Bytes that are held in memory.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.kept
    }
}

fn pieces<'b>(parts: &'b [Bytes], tail: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
    parts.iter().map(|part| &**part).chain(iter::once(tail))
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_kept_up_to_the_limit_and_counted_beyond() {
        let part = Bytes::from(vec![b'x'; 100 * 1024]);
        let mut body = Body::new(true);
        for _ in 0..4 {
            body.push(&part);
        }
        assert_eq!((body.kept(), body.bytes, body.truncated), (MAX_BODY, 400 * 1024, true));
        assert_eq!(body.concat().len(), MAX_BODY);

        let digest = hex::encode(Sha256::digest(vec![b'x'; 400 * 1024]));
        assert_eq!(body.sha256(), Some(digest));

        let mut metadata = Body::new(false);
        metadata.push(&part);
        assert_eq!((metadata.kept(), metadata.bytes, metadata.sha256()), (0, 100 * 1024, None));
        assert!(!metadata.truncated, "nothing of it was to be kept");
    }

    #[test]
    fn short_buffers_are_put_together_and_long_ones_are_not_copied() {
        let long = Bytes::from(vec![b'l'; SHORT]);
        let mut body = Body::new(true);
        for _ in 0..1000 {
            body.push(&Bytes::from_static(b"s"));
        }
        body.push(&long);
        body.push(&Bytes::from_static(b"end"));
        assert_eq!(body.parts.len(), 2, "not one for each that passed");
        assert_eq!(body.parts[1].as_ptr(), long.as_ptr());
        let all = [&[b's'; 1000][..], &long, b"end"].concat();
        assert_eq!((&*body.concat(), body.kept()), (&*all, all.len()));
        assert_eq!(body.sha256(), Some(hex::encode(Sha256::digest(&all))));
        let rest = vec![b'x'; MAX_BODY];
        body.push(&Bytes::from(rest.clone()));
        assert_eq!(body.sha256(), Some(hex::encode(Sha256::digest([all, rest].concat()))));
    }
}
