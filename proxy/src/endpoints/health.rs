//! Active health checks: a GET that must answer 200, asked over connections of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use pingora::connectors::http::Connector;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, OrErr as _};
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Endpoint, Pool, PoolSettings, peer};
use crate::config::model::Health;

/// How often the scheduler looks for pools that are due.
const TICK: Duration = Duration::from_millis(50);
/// The longest that one check may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Failed checks in a row that make an endpoint unhealthy; one good one heals it.
const FAILURES_TO_FLIP: usize = 2;

/// The HTTP check of one version's endpoints.
pub struct HttpCheck {
    /// Those of the pool, to be marked when they pass.
    endpoints: Arc<[Arc<Endpoint>]>,
    connector: Arc<Connector>,
    template: HttpPeer,
    request: pingora::http::RequestHeader,
}

impl HttpCheck {
    /// The check that `settings` ask for.
    ///
    /// # Errors
    /// If path or host can't be put into a request.
    pub fn new(
        settings: &PoolSettings,
        health: &Health,
        connector: Arc<Connector>,
        authorities: Option<&Arc<CaType>>,
    ) -> pingora::Result<Self> {
        let mut request = pingora::http::RequestHeader::build("GET", health.path.as_bytes(), Some(2))?;
        request.insert_header(http::header::HOST, &*settings.host)?;
        request.insert_header(http::header::USER_AGENT, "lockstep-health")?;
        let placeholder = ([0, 0, 0, 0], 0).into();
        let mut template = peer::template(placeholder, 0, &settings.upstream, authorities);
        if template.sni.is_empty() && settings.upstream.tls {
            template.sni = settings.host.to_string();
        }
        template.options.idle_timeout = Some(Duration::ZERO);
        Ok(Self { endpoints: Arc::default(), connector, template, request })
    }

    /// The same check, for these endpoints.
    pub(super) fn of(self, endpoints: &Arc<[Arc<Endpoint>]>) -> Self {
        Self { endpoints: Arc::clone(endpoints), ..self }
    }

    fn endpoint(&self, target: &Backend) -> Option<&Arc<Endpoint>> {
        self.endpoints.iter().find(|endpoint| target.addr.as_inet() == Some(&endpoint.address()))
    }

    async fn ask(&self, target: &Backend) -> pingora::Result<()> {
        let mut peer = self.template.clone();
        peer._address = target.addr.clone();
        peer::force_fresh(&mut peer);
        let (mut session, _reused) = self.connector.get_http_session(&peer).await?;
        session.write_request_header(Box::new(self.request.clone())).await?;
        session.finish_request_body().await?;
        session.set_read_timeout(Some(TIMEOUT));
        session.read_response_header().await?;
        let status = session.response_header().map(|header| header.status.as_u16());
        session.shutdown().await;
        match status {
            Some(200) => Ok(()),
            other => {
                Error::e_explain(ErrorType::CustomCode("health", other.unwrap_or(0)), "status is not 200")
            }
        }
    }
}

#[async_trait]
impl HealthCheck for HttpCheck {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let asked = tokio::time::timeout(TIMEOUT, self.ask(target))
            .await
            .or_err(ErrorType::ReadTimedout, "health check")?;
        match self.endpoint(target) {
            Some(endpoint) => judge(asked, endpoint),
            None => asked,
        }
    }

    async fn health_status_change(&self, target: &Backend, healthy: bool) {
        if let Some(endpoint) = self.endpoint(target) {
            endpoint.checked(healthy);
        }
    }

    fn health_threshold(&self, success: bool) -> usize {
        if success { 1 } else { FAILURES_TO_FLIP }
    }
}

/// What a check says of its endpoint. A want of sockets says nothing, so that one which has worked goes on to count as
/// healthy.
fn judge(asked: pingora::Result<()>, endpoint: &Endpoint) -> pingora::Result<()> {
    match asked {
        Err(error) if peer::lacks_socket(&error) && endpoint.is_proven() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            // A pool that was made anew takes all for healthy, so that this is no change to it.
            endpoint.checked(true);
            Ok(())
        }
    }
}

/// Checks pools when they are due, for as long as it is polled.
///
/// `pools` names the pools of the moment; `changed` is called when one gained or lost a usable
/// endpoint.
pub async fn run(pools: impl Fn() -> Vec<Arc<Pool>>, changed: impl Fn(&Pool)) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due: Vec<(Arc<Pool>, Instant)> = Vec::new();
    loop {
        ticks.tick().await;
        due = merge(&due, pools());
        let now = Instant::now();
        let mut running: FuturesUnordered<_> = due
            .iter_mut()
            .filter(|(_, at)| *at <= now)
            .map(|(pool, at)| {
                let interval = pool.settings().health.as_ref().map_or(TICK, |health| health.interval);
                *at = now + interval;
                let pool = Arc::clone(pool);
                async move { (pool.check().await, pool) }
            })
            .collect();
        while let Some((flipped, pool)) = running.next().await {
            if flipped {
                changed(&pool);
            }
        }
    }
}

/// Keeps the next check of pools that are still there; new ones are due at once.
fn merge(due: &[(Arc<Pool>, Instant)], pools: Vec<Arc<Pool>>) -> Vec<(Arc<Pool>, Instant)> {
    let known: std::collections::HashMap<*const Pool, Instant> =
        due.iter().map(|(pool, at)| (Arc::as_ptr(pool), *at)).collect();
    let now = Instant::now();
    pools
        .into_iter()
        .map(|pool| {
            let at = known.get(&Arc::as_ptr(&pool)).copied().unwrap_or(now);
            (pool, at)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_want_of_sockets_takes_no_proven_endpoint_out() {
        let endpoint = Endpoint::new(([127, 0, 0, 1], 9000).into());
        let fails = |kind| judge(Err(Error::new(kind)), &endpoint).is_err();
        assert!(fails(ErrorType::SocketError), "it was never seen to work");
        assert!(judge(Ok(()), &endpoint).is_ok());
        assert!(!fails(ErrorType::SocketError));
        assert!(fails(ErrorType::ConnectRefused));
        endpoint.checked(false);
        assert!(fails(ErrorType::SocketError), "it is known to be down");
    }
}
