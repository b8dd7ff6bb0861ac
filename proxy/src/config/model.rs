//! The configuration after parsing: every value is of its own type, every reference is
//! resolved, every default filled in. Nothing here can be invalid, so no later stage checks again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use ipnet::IpNet;
use lockstep_controller::{AppId, Canary, Policy, VersionId};

use super::ai::model::Ai;
use super::audit::model::Audit;
use super::overlay::ClusterApps;
use super::secret::Secret;
use super::value::{HostPattern, PathPrefix, Share};

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What the process listens on and how it behaves.
    pub server: Server,
    /// The applications, in the order of the file.
    pub apps: Vec<Arc<App>>,
    /// How apps are found in Kubernetes.
    pub kubernetes: Kubernetes,
    /// What is said here of apps that Kubernetes has.
    pub cluster_apps: Arc<ClusterApps>,
    /// The AI gateway, if there is one.
    pub ai: Option<Arc<Ai>>,
    /// What is recorded and where it goes.
    pub audit: Arc<Audit>,
}

/// Section `server`.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Where state is kept; created with mode 0700 if missing.
    pub data_dir: PathBuf,
    /// Worker threads of the data plane.
    pub threads: Threads,
    /// Listeners of the data plane, at least one.
    pub listen: Vec<Listener>,
    /// The admin listener.
    pub admin: Admin,
    /// Peers whose `X-Forwarded-*` headers and PROXY headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Timing of a graceful end.
    pub shutdown: Shutdown,
    /// What one client may use.
    pub limits: Limits,
    /// The access log.
    pub access_log: AccessLog,
}

/// How many worker threads the data plane has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One for each core the process may use.
    Auto,
    /// That many.
    Fixed(std::num::NonZeroUsize),
}

/// One listener of the data plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Listener {
    /// Address and port; port 0 lets the system choose.
    pub addr: SocketAddr,
    /// Answers every request with 308 to the same host and path on https.
    pub redirect_https: bool,
    /// Whether connections from trusted proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Present on a TLS listener.
    pub tls: Option<Tls>,
}

/// Certificates of a TLS listener, chosen by SNI; the first is the default. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chains with their keys.
    pub certificates: Vec<CertificateFiles>,
}

/// Paths of one PEM certificate chain and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Section `server.admin`.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// Address and port of the admin API.
    pub addr: SocketAddr,
    /// Present if the admin API speaks TLS.
    pub tls: Option<Tls>,
    /// Who may ask and who may change.
    pub tokens: Vec<AdminToken>,
    /// If set, `/metrics` asks for this token.
    pub metrics_token: Option<Secret>,
}

/// One bearer token of the admin API.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminToken {
    /// The actor named in the history.
    pub name: String,
    /// The token itself.
    pub token: Secret,
    /// What its bearer may do.
    pub can: Permission,
}

/// What the bearer of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// See everything, change nothing.
    Read,
    /// Also promote, approve, reject and expire.
    Operate,
}

/// Section `server.shutdown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// How long to serve after SIGTERM while already unready.
    pub lame_duck: Duration,
    /// How long requests in flight may take after that.
    pub grace: Duration,
}

/// Section `server.limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open client connections.
    pub connections: usize,
    /// Bytes of one request head.
    pub header_bytes: usize,
    /// Bytes of one request body.
    pub body_bytes: u64,
    /// From the first byte of a request to the end of its head; also the TLS handshake.
    pub header_timeout: Duration,
    /// A keep-alive connection without a request, a client that neither sends its body nor reads.
    pub idle_timeout: Duration,
}

/// Section `server.access_log`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AccessLog {
    /// How a line is written.
    pub format: LogFormat,
    /// Share of successful requests that leave a line; errors always do.
    pub sample: Share,
}

/// How an access log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// `key=value` pairs.
    Text,
    /// Nothing.
    Off,
}

/// Section `kubernetes`.
#[derive(Debug, Clone, PartialEq)]
pub struct Kubernetes {
    /// Whether apps are found in Kubernetes at all.
    pub enabled: bool,
    /// Namespaces that are watched; all, if empty.
    pub namespaces: Vec<String>,
    /// Hosts that apps of a namespace may claim; any, for one that is not listed.
    pub hosts: BTreeMap<String, Vec<HostPattern>>,
    /// The label that holds the name of the app.
    pub app_label: String,
    /// The label that holds the version id.
    pub version_label: String,
    /// Whether ids are made from images where the label is missing.
    pub mint_ids: bool,
    /// Whether an unlabelled predecessor becomes the first version.
    pub adopt: bool,
    /// How often a replica reports its traffic.
    pub heartbeat: Duration,
    /// The lease by which the leader is known.
    pub lease: Lease,
}

/// Section `kubernetes.lease`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// How long it holds, in whole seconds.
    pub duration: Duration,
    /// How often it is renewed.
    pub renew: Duration,
}

/// One entry of `apps`, with the defaults of `skew` filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// Namespace and name.
    pub id: AppId,
    /// Hosts the app answers for; empty means every host.
    pub hosts: Vec<HostPattern>,
    /// Path prefix the app answers for.
    pub path: PathPrefix,
    /// Whether the prefix is removed before the request goes upstream.
    pub strip_prefix: bool,
    /// Versions written in the file, oldest first.
    pub versions: Vec<StaticVersion>,
    /// Version that is fixed as the active one.
    pub active: Option<VersionId>,
    /// Version that a share of new visitors get.
    pub canary: Option<Canary>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// How upstream connections are made.
    pub upstream: Upstream,
    /// Active health checks, if wanted.
    pub health: Option<Health>,
    /// Passive ejection of failing endpoints.
    pub ejection: Ejection,
    /// What the tee records.
    pub audit: AuditLevel,
    /// How versions are chosen and visitors pinned.
    pub skew: Skew,
    /// When versions become active and when they expire.
    pub policy: Policy,
}

/// A version written in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticVersion {
    /// Its id.
    pub id: VersionId,
    /// Its endpoints, at least one.
    pub endpoints: Vec<SocketAddr>,
}

/// How an endpoint of a version is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastLoaded,
}

/// A PEM bundle of authorities: another one under the same path is another bundle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bundle {
    /// Where it is.
    pub path: PathBuf,
    /// SHA-256 of its certificates as they were read.
    pub sha256: [u8; 32],
}

/// Section `apps[].upstream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// TCP connect and TLS handshake.
    pub connect_timeout: Duration,
    /// Silence between two reads of a response.
    pub read_timeout: Duration,
    /// How long an unused connection is kept; below the keep-alive time of the origin.
    pub idle_timeout: Duration,
    /// Whether to speak TLS to the endpoints.
    pub tls: bool,
    /// PEM bundle of private authorities; the system's when absent.
    pub ca: Option<Bundle>,
    /// Server name for TLS; the request's host when absent.
    pub sni: Option<String>,
    /// HTTP/2 to the endpoints (h2c without TLS).
    pub http2: bool,
    /// Further attempts after the first.
    pub retries: u8,
}

/// Section `apps[].health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Path that must answer 200.
    pub path: String,
    /// Time between two checks.
    pub interval: Duration,
}

/// Section `apps[].ejection`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ejection {
    /// Failures in a row that eject an endpoint; 0 turns ejection off.
    pub failures: u32,
    /// How long; doubles each time, at most tenfold.
    pub duration: Duration,
    /// Most endpoints of one version that may be ejected at once; never all.
    pub max_share: Share,
}

/// What the tee of app traffic records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditLevel {
    /// Nothing.
    None,
    /// Everything but bodies.
    Metadata,
    /// Bodies too, up to a limit.
    Full,
}

/// How versions are chosen and visitors pinned.
#[derive(Debug, Clone, PartialEq)]
pub struct Skew {
    /// The cookie that pins.
    pub cookie: Cookie,
    /// The request header that pins.
    pub header: HeaderName,
    /// The query parameter that pins.
    pub query: String,
    /// Whether the query parameter also chooses the version of a page load.
    pub query_on_navigation: bool,
    /// What a page load by a pinned visitor gets.
    pub navigation: Navigation,
    /// What a pin to an expired version gets.
    pub on_expired: OnExpired,
    /// What a pin to a version without endpoints gets.
    pub on_unhealthy: OnUnhealthy,
    /// Who may reach staged versions.
    pub preview: Preview,
    /// Whether `x-lockstep-*` headers are sent.
    pub response_headers: bool,
}

/// Section `skew.cookie`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Its name, an RFC 6265 token.
    pub name: String,
    /// `Max-Age`.
    pub max_age: Duration,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `Secure`.
    pub secure: Secure,
    /// `HttpOnly`.
    pub http_only: bool,
}

/// The cookie attribute `SameSite`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// `Strict`
    Strict,
    /// `Lax`
    Lax,
    /// `None`; needs `Secure`.
    None,
}

/// When the cookie has the attribute `Secure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secure {
    /// If the client came by https.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a page load by a pinned visitor gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Navigation {
    /// The pinned version.
    Pinned,
    /// The active version, and a new pin.
    Latest,
}

/// What a pin to an expired version gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExpired {
    /// The active version, and a new pin.
    Active,
    /// As `Active`, but 409 to requests that write.
    RejectUnsafe,
    /// 409 to all but page loads.
    Reject,
}

/// What a pin to a living version without a usable endpoint gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnhealthy {
    /// 503 with `Retry-After`.
    Fail,
    /// The active version.
    Active,
}

/// Who may reach staged versions.
#[derive(Debug, Clone, PartialEq)]
pub enum Preview {
    /// Nobody.
    Closed,
    /// Everybody who names the version.
    Open,
    /// Who also sends this token in `x-lockstep-preview`.
    Token(Secret),
}

impl OnExpired {
    /// Whether a request pinned to an expired version is answered with 409.
    #[must_use]
    pub fn rejects(self, method: &Method, page_load: bool) -> bool {
        match self {
            Self::Active => false,
            Self::RejectUnsafe => {
                matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
            }
            Self::Reject => !page_load,
        }
    }
}
