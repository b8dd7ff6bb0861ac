//! Who calls: keys are known by their digests, and what they may use at once and in a minute is
//! counted here, for this instance.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use crate::config::ai::model::{Key, Pattern};

/// The headers in which keys come besides `Authorization: Bearer`.
const HEADERS: [&str; 2] = ["api-key", "x-api-key"];

const MINUTE: Duration = Duration::from_secs(60);

/// The keys of one configuration.
pub struct Keyring {
    /// By the beginning of the digest, which tells nothing about the key.
    known: HashMap<[u8; 8], Vec<Arc<KnownKey>>>,
}

/// One key and what it uses.
pub struct KnownKey {
    key: Arc<Key>,
    uses: Arc<Uses>,
}

/// What keys use, by their ids; outlives configurations.
#[derive(Default)]
pub struct UseBook(Mutex<HashMap<String, Arc<Uses>>>);

#[derive(Default)]
struct Uses(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    running: u32,
    /// When the requests of the past will be forgotten: the theoretical arrival time of the generic
    /// cell rate algorithm (ITU-T I.371).
    spent_until: Option<Instant>,
}

/// A request that counts for its key until dropped.
pub struct Running(Arc<Uses>);

/// Why a key may not be used right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// Too many requests in the minute.
    PerMinute {
        /// How many it may have.
        limit: u32,
        /// Until the next one may come.
        wait: Duration,
        /// Until all are forgotten.
        reset: Duration,
    },
    /// Too many at once.
    AtOnce {
        /// How many it may have.
        limit: u32,
    },
}

/// Why a key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is none of ours.
    NotKnown,
    /// It was.
    Expired,
}

/// The key that a request brings, in clear.
#[must_use]
pub fn given(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let named = || HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    bearer.or_else(named).filter(|key| !key.is_empty())
}

/// The digest under which a key is known.
#[must_use]
pub fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

// === impl Keyring ===

impl Keyring {
    /// The keys of a configuration, with what they used under the last one.
    #[must_use]
    pub fn new(keys: &[Arc<Key>], ledger: &UseBook) -> Self {
        let mut known: HashMap<_, Vec<_>> = HashMap::new();
        for key in keys {
            let entry = KnownKey { key: Arc::clone(key), uses: ledger.of(&key.identity.id) };
            known.entry(start(&key.sha256)).or_default().push(Arc::new(entry));
        }
        ledger.keep(keys);
        Self { known }
    }

    /// The key with this text.
    ///
    /// # Errors
    /// If it is none, or none any more.
    pub fn find(&self, key: &str, now: Timestamp) -> Result<Arc<KnownKey>, Unknown> {
        let digest = digest(key);
        let candidates = self.known.get(&start(&digest)).map(Vec::as_slice).unwrap_or_default();
        let found = candidates.iter().find(|known| known.key.sha256.ct_eq(&digest).into());
        let found = found.ok_or(Unknown::NotKnown)?;
        match found.key.expires {
            Some(end) if now >= end => Err(Unknown::Expired),
            _ => Ok(Arc::clone(found)),
        }
    }
}

fn start(digest: &[u8; 32]) -> [u8; 8] {
    let mut start = [0; 8];
    for (to, from) in start.iter_mut().zip(digest) {
        *to = *from;
    }
    start
}

// === impl KnownKey ===

impl KnownKey {
    /// What the configuration says of it.
    #[must_use]
    pub fn config(&self) -> &Key {
        &self.key
    }

    /// Whether it may ask for a model.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        self.key.models.iter().any(|pattern| pattern.matches(model))
    }

    /// Whether it may ask for whatever model.
    #[must_use]
    pub fn may_use_any(&self) -> bool {
        self.key.models.iter().any(Pattern::matches_all)
    }

    /// Counts one more request.
    ///
    /// # Errors
    /// If that is one too many.
    pub fn begin(&self, now: Instant) -> Result<Running, Limited> {
        let mut counts = self.uses.0.lock();
        if let Some(limit) = self.key.concurrent.filter(|most| counts.running >= *most) {
            return Err(Limited::AtOnce { limit });
        }
        if let Some(limit) = self.key.requests_per_minute {
            counts.spend(limit, now)?;
        }
        counts.running += 1;
        drop(counts);
        Ok(Running(Arc::clone(&self.uses)))
    }
}

// === impl UseBook ===

impl UseBook {
    fn of(&self, id: &str) -> Arc<Uses> {
        Arc::clone(self.0.lock().entry(id.to_owned()).or_default())
    }

    fn keep(&self, keys: &[Arc<Key>]) {
        self.0.lock().retain(|id, _| keys.iter().any(|key| key.identity.id == *id));
    }
}

// === impl Counts ===

impl Counts {
    fn spend(&mut self, limit: u32, now: Instant) -> Result<(), Limited> {
        let one = MINUTE / limit.max(1);
        let spent_until = self.spent_until.filter(|until| *until > now).unwrap_or(now);
        let reset = spent_until + one - now;
        if reset > MINUTE + Duration::from_nanos(u64::from(limit)) {
            return Err(Limited::PerMinute { limit, wait: reset - MINUTE, reset: spent_until - now });
        }
        self.spent_until = Some(spent_until + one);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock();
        counts.running = counts.running.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai::ledger::KeyIdentity;

    fn key(id: &str, text: &str) -> Key {
        Key {
            identity: Arc::new(KeyIdentity { id: id.to_owned(), labels: Default::default() }),
            sha256: digest(text),
            expires: None,
            models: vec![Pattern::new("gpt-*")],
            requests_per_minute: None,
            concurrent: None,
        }
    }

    #[test]
    fn keys_come_in_three_headers() {
        let cases = [
            ("authorization", "Bearer sk-1", Some("sk-1")),
            ("authorization", "bearer  sk-1", Some("sk-1")),
            ("authorization", "Basic sk-1", None),
            ("authorization", "Bearer ", None),
            ("api-key", "sk-1", Some("sk-1")),
            ("x-api-key", "sk-1", Some("sk-1")),
            ("cookie", "sk-1", None),
        ];
        for (name, value, expected) in cases {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(given(&headers), expected, "{name}: {value}");
        }
    }

    #[test]
    fn keys_are_found_by_their_digest_until_they_expire() {
        let old = Key { expires: Some("2026-01-01T00:00:00Z".parse().unwrap()), ..key("old", "two") };
        let ring = Keyring::new(&[key("a", "one").into(), old.into()], &UseBook::default());
        let find = |text, at: &str| {
            let found = ring.find(text, at.parse().unwrap());
            found.map(|known| known.config().identity.id.clone())
        };
        assert_eq!(find("one", "2026-11-25T00:00:00Z"), Ok("a".to_owned()));
        assert_eq!(find("One", "2026-11-25T00:00:00Z"), Err(Unknown::NotKnown));
        assert_eq!(find("two", "2025-12-31T23:59:59Z"), Ok("old".to_owned()));
        assert_eq!(find("two", "2026-01-01T00:00:00Z"), Err(Unknown::Expired));
        let known = ring.find("one", Timestamp::MIN).unwrap();
        assert!(known.may_use("gpt-4o") && !known.may_use("claude"));
    }

    #[test]
    fn requests_of_a_minute_are_counted() {
        let ledger = UseBook::default();
        let limited = Key { requests_per_minute: Some(3), ..key("a", "one") };
        let known = Keyring::new(&[limited.clone().into()], &ledger).find("one", Timestamp::MIN).unwrap();
        let start = Instant::now();
        let begin = |known: &KnownKey, after| known.begin(start + Duration::from_secs(after)).map(drop);
        for _ in 0..3 {
            begin(&known, 0).unwrap();
        }
        let (wait, reset) = (Duration::from_secs(20), MINUTE);
        assert_eq!(begin(&known, 0), Err(Limited::PerMinute { limit: 3, wait, reset }));
        // A reload forgives nothing.
        let known = Keyring::new(&[limited.into()], &ledger).find("one", Timestamp::MIN).unwrap();
        assert!(begin(&known, 19).is_err());
        begin(&known, 20).unwrap();
        assert!(begin(&known, 20).is_err());
        for _ in 0..3 {
            begin(&known, 90).unwrap();
        }
    }

    #[test]
    fn requests_at_once_are_counted_until_they_end() {
        let limited = Key { concurrent: Some(1), ..key("a", "one") };
        let known = Keyring::new(&[limited.into()], &UseBook::default()).find("one", Timestamp::MIN).unwrap();
        let running = known.begin(Instant::now()).ok().unwrap();
        assert_eq!(known.begin(Instant::now()).err(), Some(Limited::AtOnce { limit: 1 }));
        drop(running);
        assert!(known.begin(Instant::now()).is_ok());
    }
}
