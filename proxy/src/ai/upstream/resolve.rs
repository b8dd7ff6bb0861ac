//! From the host of a provider to its addresses, without blocking a worker, and not for each
//! request.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer is used. Providers behind DNS move slowly; what they leave still refuses.
const FRESH: Duration = Duration::from_secs(15);

/// The addresses of hosts, as the system resolves them. Hosts come from the configuration, so their
/// number is bounded.
#[derive(Debug, Default)]
pub struct Resolver {
    hosts: Mutex<HashMap<(String, u16), Host>>,
}

#[derive(Debug, Default)]
struct Host {
    known: Option<Known>,
    /// What is asked and was not answered in time: whoever comes later finds the answer here.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    at: Instant,
}

type Asked = Shared<BoxFuture<'static, Answer>>;
type Answer = Result<Arc<[SocketAddr]>, Arc<io::Error>>;

impl Resolver {
    /// The addresses of a host, at least one.
    ///
    /// # Errors
    /// If it has none, or none is found `within` a time.
    pub async fn resolve(&self, host: &str, port: u16, within: Duration) -> io::Result<Arc<[SocketAddr]>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::new([SocketAddr::new(address, port)]));
        }
        let key = (host.to_owned(), port);
        let look_up = |key| async { Ok(tokio::net::lookup_host::<(String, u16)>(key).await?.collect()) };
        self.known_or(key, within, look_up).await
    }

    /// The addresses of a host that are known, if they are fresh or nothing else is found in time.
    async fn known_or<F>(
        &self,
        key: (String, u16),
        within: Duration,
        look_up: impl FnOnce((String, u16)) -> F,
    ) -> io::Result<Arc<[SocketAddr]>>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let (known, asked) = {
            let mut hosts = self.hosts.lock();
            let host = hosts.entry(key.clone()).or_default();
            if let Some(addresses) = host.fresh() {
                return Ok(addresses);
            }
            let known = host.known.as_mut().map(|known| {
                // This call asks; others go on with what is known.
                known.at = Instant::now();
                Arc::clone(&known.addresses)
            });
            let ask = || look_up(key.clone()).map(answer).boxed().shared();
            (known, host.asked.get_or_insert_with(ask).clone())
        };
        // Where addresses are known, nobody waits for long.
        let within = if known.is_some() { within / 2 } else { within };
        let Ok(answer) = timeout(within, asked).await else {
            // A resolver that hangs takes nobody down.
            return known.ok_or_else(|| io::ErrorKind::TimedOut.into());
        };
        let mut hosts = self.hosts.lock();
        let host = hosts.entry(key).or_default();
        host.asked = None;
        match (answer, known) {
            (Ok(addresses), _) => {
                host.known = Some(Known { addresses: Arc::clone(&addresses), at: Instant::now() });
                Ok(addresses)
            }
            // Nor does one that is down.
            (Err(_), Some(known)) => Ok(known),
            (Err(error), None) => Err(io::Error::new(error.kind(), error)),
        }
    }
}

impl Host {
    fn fresh(&self) -> Option<Arc<[SocketAddr]>> {
        let known = self.known.as_ref().filter(|known| known.at.elapsed() < FRESH)?;
        Some(Arc::clone(&known.addresses))
    }
}

fn answer(found: io::Result<Vec<SocketAddr>>) -> Answer {
    match found {
        Ok(addresses) if addresses.is_empty() => {
            Err(Arc::new(io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
        }
        found => found.map(Into::into).map_err(Arc::new),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn addresses_are_found_and_kept() {
        let resolver = Resolver::default();
        let within = SECOND * 10;
        let found = resolver.resolve("::1", 80, within).await.unwrap();
        assert_eq!(*found, ["[::1]:80".parse().unwrap()]);
        let found = resolver.resolve("localhost", 81, within).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 81));
        let again = resolver.resolve("localhost", 81, within).await.unwrap();
        assert!(Arc::ptr_eq(&found, &again));
        assert!(resolver.resolve("no-such-host.invalid", 80, within).await.is_err());
    }

    fn host() -> (String, u16) {
        ("h".to_owned(), 80)
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_hangs_takes_nobody_down() {
        let [first, second] = [1, 2].map(|last| SocketAddr::from(([192, 0, 2, last], 80)));
        let resolver = Resolver::default();
        resolver.known_or(host(), SECOND, |_| ready(Ok(vec![first]))).await.unwrap();
        tokio::time::advance(FRESH).await;
        // It takes longer than anybody waits.
        let slow = || {
            resolver.known_or(host(), SECOND, |_| async move {
                sleep(SECOND * 10).await;
                Ok(vec![second])
            })
        };
        let asked = Instant::now();
        let waits = async { (slow().await.unwrap(), asked.elapsed()) };
        let other = async { (slow().await.unwrap(), asked.elapsed()) };
        let ((found, waited), (same, at_once)) = tokio::join!(waits, other);
        assert_eq!((&*found, &*same), (&[first][..], &[first][..]));
        assert!(waited < SECOND && at_once.is_zero(), "{waited:?} {at_once:?}");
        // What it says after all is used.
        tokio::time::advance(FRESH).await;
        assert_eq!(*slow().await.unwrap(), [second]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_addresses_it_is_waited_for_as_long_as_may_be() {
        let resolver = Resolver::default();
        let hanging = || resolver.known_or(host(), SECOND, |_| pending());
        assert_eq!(hanging().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let none = resolver.known_or(("none".to_owned(), 80), SECOND, |_| ready(Ok(Vec::new())));
        assert_eq!(none.await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
