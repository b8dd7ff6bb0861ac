//! Asks the admin API of a running instance.

use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, RequestBuilder};

use super::{Failure, Instance};
use crate::config;
use crate::tls::authorities;

/// Where an instance answers that nobody configured otherwise.
const DEFAULT_ADMIN: &str = "http://127.0.0.1:9901";
/// The variable with the token.
const TOKEN: &str = "LOCKSTEP_ADMIN_TOKEN";
/// The variable with the instance.
const ADMIN: &str = "LOCKSTEP_ADMIN";
/// The variable with the roots.
const CA: &str = "LOCKSTEP_ADMIN_CA";
const TIMEOUT: Duration = Duration::from_secs(30);
/// What may stand in a segment of a path as it is (RFC 3986, 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The admin API of one instance.
pub(super) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Client {
    pub(super) fn new(instance: &Instance) -> Result<Self, Failure> {
        let named = || variable(ADMIN).filter(|_| instance.config.is_none());
        let base = match (instance.admin.clone().or_else(named), &instance.config) {
            (Some(url), _) => url.trim_end_matches('/').to_owned(),
            (None, Some(file)) => {
                let config = config::load(file).map_err(Failure::Config)?;
                let scheme = if config.server.admin.tls.is_some() { "https" } else { "http" };
                format!("{scheme}://{}", reachable(config.server.admin.addr))
            }
            (None, None) => DEFAULT_ADMIN.to_owned(),
        };
        // No proxy of the environment: it is given neither what is asked nor the token, and can't reach this machine.
        let agent =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).proxy(None);
        let agent = match instance.ca.clone().or_else(|| variable(CA).map(PathBuf::from)) {
            Some(file) => agent.tls_config(TlsConfig::builder().root_certs(roots(&file)?).build()),
            None => agent,
        };
        Ok(Self { agent: agent.build().into(), base, token: variable(TOKEN) })
    }

    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.read(self.authorized(self.agent.get(self.uri(path))).call())
    }

    pub(super) fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.read(self.authorized(self.agent.post(self.uri(path))).send_empty())
    }

    /// The lines of an answer that goes on until somebody ends it.
    pub(super) fn lines(
        &self,
        path: &str,
    ) -> Result<impl Iterator<Item = io::Result<String>> + use<>, Failure> {
        let request = self.agent.get(self.uri(path)).config().timeout_global(None).build();
        let answer = self.answered(self.authorized(request).call())?;
        Ok(BufReader::new(answer.into_body().into_reader()).lines())
    }

    fn uri(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.base)
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<http::Response<Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let base = &self.base;
        let read = self.answered(answer)?.body_mut().read_json();
        Ok(read.map_err(|error| format!("{base} answered with nonsense: {error}"))?)
    }

    fn answered(
        &self,
        answer: Result<http::Response<Body>, ureq::Error>,
    ) -> Result<http::Response<Body>, Failure> {
        let base = &self.base;
        let mut answer = answer.map_err(|error| {
            let hint = if error.to_string().contains("certificate") {
                "name the roots of a private certificate with --ca FILE"
            } else {
                "name the instance with --admin URL or --config FILE"
            };
            format!("no answer from {base}: {error}; {hint}")
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let refusal: Result<Refusal, _> = answer.body_mut().read_json();
        let message = refusal.map_or_else(|_| format!("{base} answered {status}"), |refusal| refusal.message);
        let hint =
            if status == 401 && self.token.is_none() { format!("; set {TOKEN}") } else { String::new() };
        Err(Failure::Other(format!("{message}{hint}")))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The certificates of a file.
fn roots(file: &Path) -> Result<RootCerts, Failure> {
    let read = authorities::read(file).map_err(|error| format!("--ca {error}"))?;
    let roots: Vec<_> =
        read.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(RootCerts::new_with_certs(&roots))
}

/// Encodes one segment of a path.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What listens everywhere is asked on loopback.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
