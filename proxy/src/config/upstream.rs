//! Section `apps[].upstream`.

use std::time::Duration;

use rustls::pki_types::ServerName;
use sha2::{Digest as _, Sha256};

use super::cursor::Cursor;
use super::mapping::Mapping;
use super::model::{Bundle, Upstream};
use super::value::{duration_in, number_in, quoted};
use crate::tls::authorities;

pub(super) const KEYS: &[&str] =
    &["connect_timeout", "read_timeout", "idle_timeout", "tls", "ca", "sni", "http2", "retries"];

const MS_10: Duration = Duration::from_millis(10);
const MS_100: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn read(map: &Mapping<'_>) -> Upstream {
    let tls = map.flag("tls", false);
    // An empty text is the same as none.
    let [ca, sni] = ["ca", "sni"].map(|key| map.get(key).filter(|at| !at.is_empty()));
    for at in [&ca, &sni].into_iter().flatten() {
        if !tls {
            at.error("has an effect with tls: true only");
        }
    }
    Upstream {
        connect_timeout: map.or("connect_timeout", Duration::from_secs(2), duration_in(MS_10..=MINUTE * 10)),
        read_timeout: map.or("read_timeout", MINUTE, duration_in(MS_100..=DAY)),
        idle_timeout: map.or("idle_timeout", Duration::from_secs(4), duration_in(MS_100..=DAY)),
        tls,
        ca: ca.and_then(|at| bundle(&at)),
        sni: sni.and_then(|at| at.parse(server_name)),
        http2: map.flag("http2", false),
        retries: map.or("retries", 2, number_in(0..=10)),
    }
}

fn bundle(at: &Cursor<'_>) -> Option<Bundle> {
    let path = at.file()?;
    let certificates = authorities::read(&path).map_err(|error| at.error(error)).ok()?;
    let digest = certificates.iter().fold(Sha256::new(), Sha256::chain_update);
    Some(Bundle { path, sha256: digest.finalize().into() })
}

fn server_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(ServerName::DnsName(name)) => Ok(name.as_ref().to_ascii_lowercase()),
        _ => Err(format!("{} is not a server name; write one such as shop.internal", quoted(text))),
    }
}
