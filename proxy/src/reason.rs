//! Why a request went where it went, or why it was refused. One low-cardinality enum feeds the
//! access log, the metric label and the error response, so that the three can never disagree.

use std::fmt;

/// The reason of one request's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Unpinned visitor, sent to the active version.
    Active,
    /// Pinned by the request header.
    Header,
    /// Pinned by the query parameter.
    Query,
    /// Pinned by the cookie.
    Cookie,
    /// New visitor, drawn into the canary share.
    Canary,
    /// Page load of a pinned visitor under `navigation: latest`.
    Latest,
    /// The pin names an expired version; served by the active one.
    Expired,
    /// No pin names a version that this app knows; served by the active one.
    Unknown,
    /// The pinned version has no endpoint; served by the active one.
    Unhealthy,
    /// The AI gateway answers.
    Ai,
    /// Redirected to https.
    RedirectHttps,
    /// No app answers for this host and path.
    NoRoute,
    /// The app has no active version.
    NoVersion,
    /// The pin names an expired version and the policy rejects that.
    PinExpired,
    /// The chosen version has no usable endpoint.
    NoEndpoint,
    /// No endpoint of the version accepted a connection.
    ConnectFailed,
    /// Lockstep itself has no socket left for a connection to an endpoint.
    NoSocket,
    /// The endpoint did not answer in time.
    UpstreamTimeout,
    /// The endpoint broke the exchange.
    UpstreamFailed,
    /// The request is malformed or its framing ambiguous.
    BadRequest,
    /// The method CONNECT is not served.
    MethodNotAllowed,
    /// The head did not arrive in time.
    HeaderTimeout,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The head is larger than `limits.header_bytes`.
    HeaderTooLarge,
    /// The body is larger than `limits.body_bytes`.
    BodyTooLarge,
    /// `limits.connections` are open.
    ConnectionLimit,
    /// The PROXY header is missing, malformed or from an untrusted peer.
    ProxyHeader,
    /// The TLS handshake failed.
    TlsHandshake,
    /// The client went away or stopped reading.
    ClientClosed,
    /// The shutdown grace ended while the request still ran.
    ShuttingDown,
    /// A fault of Lockstep's own.
    Internal,
}

impl Reason {
    /// Every reason, for label sets that must be swept.
    pub const ALL: [Self; 31] = [
        Self::Active,
        Self::Header,
        Self::Query,
        Self::Cookie,
        Self::Canary,
        Self::Latest,
        Self::Expired,
        Self::Unknown,
        Self::Unhealthy,
        Self::Ai,
        Self::RedirectHttps,
        Self::NoRoute,
        Self::NoVersion,
        Self::PinExpired,
        Self::NoEndpoint,
        Self::ConnectFailed,
        Self::NoSocket,
        Self::UpstreamTimeout,
        Self::UpstreamFailed,
        Self::BadRequest,
        Self::MethodNotAllowed,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::HeaderTooLarge,
        Self::BodyTooLarge,
        Self::ConnectionLimit,
        Self::ProxyHeader,
        Self::TlsHandshake,
        Self::ClientClosed,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// The name used in logs, metrics and responses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Header => "header",
            Self::Query => "query",
            Self::Cookie => "cookie",
            Self::Canary => "canary",
            Self::Latest => "latest",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Unhealthy => "unhealthy",
            Self::Ai => "ai",
            Self::RedirectHttps => "redirect_https",
            Self::NoRoute => "no_route",
            Self::NoVersion => "no_version",
            Self::PinExpired => "pin_expired",
            Self::NoEndpoint => "no_endpoint",
            Self::ConnectFailed => "connect_failed",
            Self::NoSocket => "no_socket",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamFailed => "upstream_failed",
            Self::BadRequest => "bad_request",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::HeaderTimeout => "header_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::HeaderTooLarge => "header_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::ConnectionLimit => "connection_limit",
            Self::ProxyHeader => "proxy_header",
            Self::TlsHandshake => "tls_handshake",
            Self::ClientClosed => "client_closed",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }

    /// The status of the response that this reason leads to, where Lockstep itself answers.
    /// 499 is never sent: it marks requests whose client was gone.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        Some(match self {
            Self::Active
            | Self::Header
            | Self::Query
            | Self::Cookie
            | Self::Canary
            | Self::Latest
            | Self::Expired
            | Self::Unknown
            | Self::Unhealthy
            | Self::Ai
            | Self::ProxyHeader
            | Self::TlsHandshake => return None,
            Self::RedirectHttps => 308,
            Self::NoRoute => 404,
            Self::PinExpired => 409,
            Self::NoVersion
            | Self::NoEndpoint
            | Self::NoSocket
            | Self::ConnectionLimit
            | Self::ShuttingDown => 503,
            Self::ConnectFailed | Self::UpstreamFailed => 502,
            Self::UpstreamTimeout => 504,
            Self::BadRequest => 400,
            Self::MethodNotAllowed => 405,
            Self::HeaderTimeout | Self::BodyTimeout => 408,
            Self::HeaderTooLarge => 431,
            Self::BodyTooLarge => 413,
            Self::ClientClosed => 499,
            Self::Internal => 500,
        })
    }

    /// One sentence for the body of the response.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::NoRoute => "no app answers for this host and path",
            Self::NoVersion => "the app has no active version",
            Self::PinExpired => "the version that this client was pinned to has expired; reload",
            Self::NoEndpoint => "the version has no usable endpoint",
            Self::ConnectFailed => "no endpoint of the version accepted a connection",
            Self::NoSocket => "no socket is left for a connection to an endpoint",
            Self::UpstreamTimeout => "the endpoint did not answer in time",
            Self::UpstreamFailed => "the endpoint broke the exchange",
            Self::BadRequest => "the request is malformed",
            Self::MethodNotAllowed => "the method is not served",
            Self::HeaderTimeout => "the request head did not arrive in time",
            Self::BodyTimeout => "the request body did not arrive in time",
            Self::HeaderTooLarge => "the request head is too large",
            Self::BodyTooLarge => "the request body is too large",
            Self::ConnectionLimit => "too many connections",
            Self::ShuttingDown => "shutting down",
            _ => "internal error",
        }
    }

    /// Why the rule applied, in words, for people who ask where a request would go.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Active => "no pin: the active version",
            Self::Header => "pinned by the request header",
            Self::Query => "pinned by the query parameter",
            Self::Cookie => "pinned by the cookie",
            Self::Canary => "no pin: drawn into the canary's share (each new visitor draws anew)",
            Self::Latest => "navigation: latest sends page loads to the active version",
            Self::Expired => "the pinned version has expired: the active version (on_expired)",
            Self::Unknown => "no pin names a version of this app: the active version",
            Self::Unhealthy => "the pinned version has no usable endpoint: the active version (on_unhealthy)",
            Self::Ai => "the AI gateway answers",
            other => other.message(),
        }
    }

    /// Whether a client may expect the same request to succeed soon.
    #[must_use]
    pub const fn retry_after(self) -> Option<&'static str> {
        match self {
            Self::NoVersion
            | Self::NoEndpoint
            | Self::NoSocket
            | Self::ConnectionLimit
            | Self::ShuttingDown => Some("1"),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
