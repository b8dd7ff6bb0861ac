//! From the host of a provider to its addresses, without blocking a worker, and not for each
//! request.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

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
    /// If it has none.
    pub async fn resolve(&self, host: &str, port: u16) -> io::Result<Arc<[SocketAddr]>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(Arc::new([SocketAddr::new(address, port)]));
        }
        let key = (host.to_owned(), port);
        let known = self.known.lock().get(&key).cloned();
        if let Some(known) = &known
            && known.at.elapsed() < FRESH
        {
            return Ok(Arc::clone(&known.addresses));
        }
        let found = tokio::net::lookup_host((host, port)).await.map(Iterator::collect::<Vec<_>>);
        match (found, known) {
            (Ok(addresses), _) if !addresses.is_empty() => {
                let addresses: Arc<[SocketAddr]> = addresses.into();
                self.known
                    .lock()
                    .insert(key, Known { addresses: Arc::clone(&addresses), at: Instant::now() });
                Ok(addresses)
            }
            // A resolver that is down takes nobody else down.
            (_, Some(known)) => Ok(known.addresses),
            (Err(error), None) => Err(error),
            (Ok(_), None) => Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_found_and_kept() {
        let resolver = Resolver::default();
        let found = resolver.resolve("::1", 80).await.unwrap();
        assert_eq!(*found, ["[::1]:80".parse().unwrap()]);
        let found = resolver.resolve("localhost", 81).await.unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 81));
        let again = resolver.resolve("localhost", 81).await.unwrap();
        assert!(Arc::ptr_eq(&found, &again));
        assert!(resolver.resolve("no-such-host.invalid", 80).await.is_err());
    }
}
