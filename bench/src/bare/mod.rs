//! The yardstick: the smallest `ProxyHttp` that routes by a cookie map and writes the headers that
//! every contender writes. It limits nothing, times nothing out and logs nothing.

mod table;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{HOST, HeaderName, SET_COOKIE};
use pingora::apps::HttpServerOptions;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::server::Server;
use pingora::server::configuration::ServerConf;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

use crate::cli::BareOptions;
use crate::error::{Failure, Result};
use crate::layout::VERSION_HEADER;
use table::{Choice, Table};

const VERSION: HeaderName = HeaderName::from_static(VERSION_HEADER);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Room for an idle connection of every worker to each of 10 000 versions.
const POOL_SIZE: usize = 16_384;

struct Bare(Table);

/// Serves until the process is ended.
///
/// # Errors
/// If a header value cannot be made.
pub fn run(options: &BareOptions) -> Result<()> {
    let conf = ServerConf {
        threads: options.threads,
        work_stealing: !options.no_stealing,
        upstream_keepalive_pool_size: POOL_SIZE,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let bare = Bare(Table::new(options)?);
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, bare);
    if options.h2c {
        let mut http = HttpServerOptions::default();
        http.h2c = true;
        service.app_logic_mut().ok_or_else(|| Failure::new("no app"))?.server_options = Some(http);
    }
    service.add_tcp(&options.listen.to_string());
    server.add_service(service);
    server.run_forever()
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = Option<Choice>;

    fn new_ctx(&self) -> Self::CTX {
        None
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn upstream_peer(
        &self,
        session: &mut Session,
        choice: &mut Self::CTX,
    ) -> pingora::Result<Box<HttpPeer>> {
        let chosen =
            self.0.choose(session.req_header()).ok_or_else(|| Error::new(ErrorType::HTTPStatus(404)))?;
        Ok(Box::new(choice.insert(chosen).version.peer.clone()))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        _choice: &mut Self::CTX,
    ) -> pingora::Result<()> {
        if let Some(client) = session.client_addr().and_then(|address| address.as_inet()) {
            request.insert_header(FORWARDED_FOR, client.ip().to_string())?;
        }
        request.insert_header(FORWARDED_PROTO, HeaderValue::from_static("http"))?;
        if let Some(host) = request.headers.get(HOST).cloned() {
            request.insert_header(FORWARDED_HOST, host)?;
        }
        let mut buffer = [0; ulid::ULID_LEN];
        let id: &str = ulid::Ulid::generate().array_to_str(&mut buffer);
        request.insert_header(REQUEST_ID, id)
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        choice: &mut Self::CTX,
    ) -> pingora::Result<()> {
        let Some(Choice { version, pinned }) = choice else { return Ok(()) };
        response.insert_header(VERSION, version.id.clone())?;
        if !*pinned {
            response.append_header(SET_COOKIE, version.cookie.clone())?;
        }
        Ok(())
    }
}
