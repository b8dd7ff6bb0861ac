//! How a storage on Redis is reached, and how sure it has to be.

use std::fmt;
use std::time::Duration;

use redis::IntoConnectionInfo as _;

/// How to use a Redis or Valkey server. Start with [`RedisOptions::new`].
#[derive(Clone)]
pub struct RedisOptions {
    /// Where the servers are, such as `redis://user:password@host:6379/0` or `unix:///run/redis.sock`. With several,
    /// the first one that is a primary is used: after a failover that is another one. `rediss://` speaks TLS and
    /// needs the feature `redis-tls`.
    pub urls: Vec<String>,
    /// Begins all keys and channels, so that storages can share a server.
    pub prefix: String,
    /// Replicas that must have a change before it is acknowledged. None: it is acknowledged when the primary has it,
    /// and lost if that fails before a replica got it.
    pub wait_replicas: Option<WaitReplicas>,
    /// How long to go on trying when the server can't be reached, until a call fails with
    /// [`StorageError::Unavailable`](crate::jobs::StorageError::Unavailable).
    pub patience: Duration,
    /// How long to wait for a connection, and for an answer until the connection is given up.
    pub timeout: Duration,
    /// What `rediss://` addresses need. The default trusts whom the operating system trusts.
    #[cfg(feature = "redis-tls")]
    pub tls: super::tls::RedisTls,
}

/// How many replicas must have a change before it is acknowledged. A claim waits for them a moment at most, and is answered
/// without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitReplicas {
    /// So many. At least 1.
    pub count: u32,
    /// How long to wait for them; then the call fails, unless it only claims. Whether it took effect is unknown then: the primary has it.
    pub timeout: Duration,
}

/// Fewer replicas than wanted have a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reached} of {wanted} replicas have it; the primary has it, and may lose it in a failover")]
pub struct NotReplicated {
    /// How many should have it.
    pub wanted: u32,
    /// How many have it.
    pub reached: u32,
}

impl RedisOptions {
    /// One server, with a prefix of `lockstep`, no wait for replicas, 5 s of patience and 5 s for an answer.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            prefix: "lockstep".to_owned(),
            wait_replicas: None,
            patience: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            #[cfg(feature = "redis-tls")]
            tls: super::tls::RedisTls::default(),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.urls.iter().map(|url| address(url)).collect();
        let mut shown = formatter.debug_struct("RedisOptions");
        shown.field("urls", &urls).field("prefix", &self.prefix).field("wait_replicas", &self.wait_replicas);
        shown.field("patience", &self.patience).field("timeout", &self.timeout);
        #[cfg(feature = "redis-tls")]
        shown.field("tls", &self.tls);
        shown.finish()
    }
}

/// Where a URL leads, without the password that it may have.
fn address(url: &str) -> String {
    url.into_connection_info().map_or_else(|_| "?".to_owned(), |info| info.addr().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (url, address) in [
            ("redis://user:secret@host:7000/3", "host:7000"),
            ("redis://:sec%40ret@[::1]", "::1:6379"),
            ("unix:///run/redis.sock?user=user&pass=secret", "/run/redis.sock"),
            ("user:secret@host", "?"),
        ] {
            let shown = format!("{:?}", RedisOptions::new(url));
            assert!(shown.contains(&format!("[{address:?}]")) && !shown.contains("ret"), "{shown}");
        }
    }
}
