//! The pool of one version's endpoints.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use lockstep_controller::{AppId, VersionId};
use once_cell::sync::OnceCell;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora_load_balancing::discovery::Static;
use pingora_load_balancing::selection::{BackendSelection, RoundRobin};
use pingora_load_balancing::{Backend, Backends, LoadBalancer};

use super::ejection::{self, Fault, Verdict};
use super::health::HttpCheck;
use super::least_loaded::LeastLoaded;
use super::{Endpoint, peer};
use crate::clock;
use crate::config::model::{Balance, Ejection, Health, Upstream};

/// Everything that a pool is made from. Two equal settings make interchangeable pools.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSettings {
    /// The app, part of the identity of its connections.
    pub app: AppId,
    /// The version, part of the identity of its connections.
    pub version: VersionId,
    /// Addresses, in any order.
    pub endpoints: Arc<[SocketAddr]>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// How it is connected to.
    pub upstream: Upstream,
    /// How its health is asked for.
    pub health: Option<Health>,
    /// When it is left out.
    pub ejection: Ejection,
    /// The `Host` of health checks.
    pub host: Arc<str>,
}

/// The endpoints of one version.
pub struct Pool {
    settings: PoolSettings,
    endpoints: Arc<[Arc<Endpoint>]>,
    templates: Box<[HttpPeer]>,
    /// Made with the first choice, unless health checks need it before: of ten thousand versions few are chosen from.
    balancer: OnceCell<Balancer>,
}

/// An endpoint chosen for one attempt.
pub struct Choice {
    /// Where the attempt goes.
    pub endpoint: Arc<Endpoint>,
    /// How Pingora connects to it.
    pub peer: Box<HttpPeer>,
}

enum Balancer {
    RoundRobin(LoadBalancer<RoundRobin>),
    LeastLoaded(LoadBalancer<LeastLoaded>),
}

impl Pool {
    /// Builds a pool. `known` are endpoints whose counts go on, found by their address.
    #[must_use]
    pub fn new(
        settings: PoolSettings,
        known: Option<&Self>,
        check: Option<HttpCheck>,
        authorities: Option<&Arc<CaType>>,
    ) -> Self {
        let endpoints: Arc<[Arc<Endpoint>]> = settings
            .endpoints
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|address| {
                known
                    .and_then(|pool| pool.find(*address))
                    .cloned()
                    .unwrap_or_else(|| Arc::new(Endpoint::new(*address)))
            })
            .collect();
        let check = check.map(|check| check.of(&endpoints));
        let group = peer::group_key(&settings.app, &settings.version, &settings.upstream);
        let templates = endpoints
            .iter()
            .map(|endpoint| peer::template(endpoint.address(), group, &settings.upstream, authorities))
            .collect();
        let balancer = match check {
            Some(check) => OnceCell::with_value(Balancer::new(settings.balance, &endpoints, Some(check))),
            None => OnceCell::new(),
        };
        Self { settings, endpoints, templates, balancer }
    }

    /// What it was made from.
    #[must_use]
    pub fn settings(&self) -> &PoolSettings {
        &self.settings
    }

    /// Its endpoints, by address.
    #[must_use]
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.endpoints
    }

    /// Whether a request may be sent here at all.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.endpoints.iter().any(|endpoint| self.is_up(endpoint))
    }

    /// Endpoints that requests may be sent to.
    #[must_use]
    pub fn usable(&self) -> usize {
        self.count(|endpoint| self.is_up(endpoint))
    }

    /// Endpoints that are known to work: all of them without health checks, those that passed one
    /// and have not failed since with them.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.count(|endpoint| self.settings.health.is_none() || endpoint.is_proven())
    }

    /// Usable endpoints that are not ejected at the moment.
    #[must_use]
    pub fn available(&self) -> usize {
        let now = clock::now_ms();
        self.count(|endpoint| self.is_up(endpoint) && !endpoint.is_ejected(now))
    }

    /// Chooses an endpoint that was not tried yet: healthy and not ejected, or, if every healthy
    /// one is ejected, one of those.
    #[must_use]
    pub fn choose(&self, tried: &[SocketAddr]) -> Option<Choice> {
        if let ([endpoint], None) = (&*self.endpoints, &self.settings.health) {
            // Nothing to balance, and ejection never takes the whole pool.
            return (!tried.contains(&endpoint.address())).then(|| self.choice(0)).flatten();
        }
        let now = clock::now_ms();
        let untried = |endpoint: &Endpoint| self.is_up(endpoint) && !tried.contains(&endpoint.address());
        self.select(|endpoint| untried(endpoint) && !endpoint.is_ejected(now))
            .or_else(|| self.select(untried))
    }

    /// The same endpoint once more.
    #[must_use]
    pub fn again(&self, endpoint: &Endpoint) -> Option<Choice> {
        self.choice(self.position(endpoint.address())?)
    }

    /// Whether an endpoint is left that was not tried.
    #[must_use]
    pub fn has_untried(&self, tried: &[SocketAddr]) -> bool {
        self.endpoints.iter().any(|endpoint| !tried.contains(&endpoint.address()))
    }

    /// Reports that `endpoint` failed by its own fault.
    pub fn failed(&self, endpoint: &Endpoint, fault: Fault) -> Verdict {
        ejection::failed(endpoint, fault, &self.endpoints, &self.settings.ejection)
    }

    /// Runs one round of health checks; true if a count of usable endpoints changed.
    pub async fn check(&self) -> bool {
        let ready_before = self.ready();
        self.balancer().backends().run_health_check(true).await;
        ready_before != self.ready()
    }

    fn is_up(&self, endpoint: &Endpoint) -> bool {
        self.settings.health.is_none() || endpoint.is_up()
    }

    fn count(&self, which: impl Fn(&Endpoint) -> bool) -> usize {
        self.endpoints.iter().filter(|endpoint| which(endpoint)).count()
    }

    fn select(&self, accept: impl Fn(&Endpoint) -> bool) -> Option<Choice> {
        let known = |backend: &Backend| self.find(*backend.addr.as_inet()?);
        let accept = |backend: &Backend, healthy: bool| {
            healthy && known(backend).is_some_and(|endpoint| accept(endpoint))
        };
        // Concurrent choices share the turn, so that one may see the same endpoint repeatedly.
        let tries = self.endpoints.len().saturating_mul(4).max(16);
        let backend = match self.balancer() {
            Balancer::RoundRobin(balancer) => balancer.select_with(b"", tries, accept),
            Balancer::LeastLoaded(balancer) => balancer.select_with(b"", tries, accept),
        }?;
        self.choice(self.position(*backend.addr.as_inet()?)?)
    }

    fn balancer(&self) -> &Balancer {
        self.balancer.get_or_init(|| Balancer::new(self.settings.balance, &self.endpoints, None))
    }

    fn choice(&self, index: usize) -> Option<Choice> {
        Some(Choice {
            endpoint: Arc::clone(self.endpoints.get(index)?),
            peer: Box::new(self.templates.get(index)?.clone()),
        })
    }

    fn find(&self, address: SocketAddr) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(self.position(address)?)
    }

    fn position(&self, address: SocketAddr) -> Option<usize> {
        self.endpoints.binary_search_by_key(&address, |endpoint| endpoint.address()).ok()
    }
}

impl Balancer {
    fn new(balance: Balance, endpoints: &Arc<[Arc<Endpoint>]>, check: Option<HttpCheck>) -> Self {
        match balance {
            Balance::RoundRobin => Self::RoundRobin(balancer(endpoints, None, check)),
            Balance::LeastLoaded => {
                Self::LeastLoaded(balancer(endpoints, Some(Arc::clone(endpoints)), check))
            }
        }
    }

    fn backends(&self) -> &Backends {
        match self {
            Self::RoundRobin(balancer) => balancer.backends(),
            Self::LeastLoaded(balancer) => balancer.backends(),
        }
    }
}

fn balancer<S: BackendSelection + 'static>(
    endpoints: &[Arc<Endpoint>],
    config: Option<S::Config>,
    check: Option<HttpCheck>,
) -> LoadBalancer<S>
where
    S::Iter: pingora_load_balancing::selection::BackendIter,
{
    let backends = endpoints.iter().map(|endpoint| Backend {
        addr: pingora::protocols::l4::socket::SocketAddr::Inet(endpoint.address()),
        weight: 1,
        ext: http::Extensions::new(),
    });
    let mut backends = Backends::new(Static::new(backends.collect()));
    if let Some(check) = check {
        backends.set_health_check(Box::new(check));
    }
    let balancer = LoadBalancer::from_backends_with_config(backends, config);
    // A static list is there at once: the update neither waits nor fails.
    let _ready = balancer.update().now_or_never();
    balancer
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
