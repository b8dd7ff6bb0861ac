//! From the host of a provider to its addresses, without blocking a worker, and not for each
//! request.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer is used. Providers behind DNS move slowly; what they leave still refuses.
const FRESH: Duration = Duration::from_secs(15);

/// The addresses of hosts, as the system resolves them. Hosts come from the configuration, so their
/// number is bounded.
#[derive(Debug, Default)]
pub struct Resolver {
    known: Mutex<HashMap<(String, u16), Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    addresses: Arc<[SocketAddr]>,
    at: Instant,
}

impl Resolver {
    /// The addresses of a host, at least one.
    ///
    /// # Errors
    /// If it has none, or none is found `within` a time.
    pub async fn resolve(&self, host: &str, port: u16, within: Duration) -> io::Result<Arc<[SocketAddr]>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::new([SocketAddr::new(address, port)]));
        }
        let found = async { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
        self.known_or(host, port, within, found).await
    }

    /// The addresses of a host that are known, if they are fresh or nothing else is found in time.
    async fn known_or(
        &self,
        host: &str,
        port: u16,
        within: Duration,
        found: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    ) -> io::Result<Arc<[SocketAddr]>> {
        let key = (host.to_owned(), port);
        let known = self.known.lock().get_mut(&key).map(|known| {
            let fresh = known.at.elapsed() < FRESH;
            // This call asks; others go on with what is known.
            known.at = if fresh { known.at } else { Instant::now() };
            (Arc::clone(&known.addresses), fresh)
        });
        let (known, within) = match known {
            Some((addresses, true)) => return Ok(addresses),
            // What is left of the time is for the connection.
            Some((addresses, false)) => (Some(addresses), within / 2),
            None => (None, within),
        };
        let found = timeout(within, found).await.unwrap_or_else(|late| Err(late.into()));
        match (found, known) {
            (Ok(addresses), _) if !addresses.is_empty() => {
                let addresses: Arc<[SocketAddr]> = addresses.into();
                self.known
                    .lock()
                    .insert(key, Known { addresses: Arc::clone(&addresses), at: Instant::now() });
                Ok(addresses)
            }
            // A resolver that is down, or hangs, takes nobody else down.
            (_, Some(known)) => Ok(known),
            (Err(error), None) => Err(error),
            (Ok(_), None) => Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

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

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_hangs_takes_nobody_down() {
        let resolver = Resolver::default();
        let address: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let hanging = || resolver.known_or("h", 80, SECOND, pending());
        assert_eq!(hanging().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        resolver.known_or("h", 80, SECOND, ready(Ok(vec![address]))).await.unwrap();
        tokio::time::advance(FRESH).await;
        let asked = Instant::now();
        let waits = async { (hanging().await.unwrap(), asked.elapsed()) };
        let other = async { (hanging().await.unwrap(), asked.elapsed()) };
        let ((found, waited), (same, at_once)) = tokio::join!(waits, other);
        assert_eq!((&*found, &*same), (&[address][..], &[address][..]));
        assert!(waited < SECOND && at_once.is_zero(), "{waited:?} {at_once:?}");
    }
}
