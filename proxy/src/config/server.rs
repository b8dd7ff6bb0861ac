//! Section `server`.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use lockstep_controller::Share;

use super::mapping::Mapping;
use super::model::{AccessLog, Limits, LogFormat, Server, Shutdown, Threads};
use super::value::{choice, duration_in, number_in, quoted, size_in};
use super::{admin, listen};

/// Where the data is, relative to the working directory, unless it is said.
pub(super) const DATA_DIR: &str = "./data";
pub(super) const KEYS: &[&str] =
    &["data_dir", "threads", "listen", "admin", "trusted_proxies", "shutdown", "limits", "access_log"];

pub(super) const FORMATS: &[(&str, LogFormat)] =
    &[("json", LogFormat::Json), ("text", LogFormat::Text), ("off", LogFormat::Off)];

const MS_100: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_hours(24);

pub(super) fn read(map: &Mapping<'_>) -> Option<Server> {
    let trusted_proxies = trusted_proxies(map);
    let mut addresses = listen::Addresses::default();
    let listen = listen::read(map, trusted_proxies.is_empty(), &mut addresses);
    let admin = admin::read(&map.section("admin", &[admin::KEYS]), &mut addresses);
    Some(Server {
        data_dir: map.or("data_dir", PathBuf::from(DATA_DIR), directory),
        threads: map.or("threads", Threads::Auto, threads),
        listen,
        admin: admin?,
        trusted_proxies,
        shutdown: shutdown(&map.section("shutdown", &[&["lame_duck", "grace"]])),
        limits: limits(map),
        access_log: access_log(&map.section("access_log", &[&["format", "sample"]])),
    })
}

/// A directory that is there, or could be made.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err(String::from("must be the path of a directory"));
    }
    let path = PathBuf::from(text);
    match path.ancestors().find(|above| above.exists()) {
        Some(file) if !file.is_dir() => Err(format!("{} is no directory", file.display())),
        _ => Ok(path),
    }
}

fn threads(text: &str) -> Result<Threads, String> {
    if text == "auto" {
        return Ok(Threads::Auto);
    }
    let number = number_in(1..=1024_usize)(text).map_err(|error| format!("{error}; or write auto"))?;
    NonZeroUsize::new(number).map(Threads::Fixed).ok_or_else(|| String::from("must be at least 1"))
}

fn trusted_proxies(map: &Mapping<'_>) -> Vec<IpNet> {
    if map.get("trusted_proxies").is_none() {
        return Ipv4Net::new([127, 0, 0, 0].into(), 8).map(IpNet::V4).into_iter().collect();
    }
    map.list("trusted_proxies").iter().filter_map(|item| item.parse(network)).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| {
        format!(
            "{} is not a network; write an address or a network such as 10.0.0.0/8 or fd00::/8",
            quoted(text)
        )
    })
}

fn shutdown(map: &Mapping<'_>) -> Shutdown {
    Shutdown {
        lame_duck: map.or(
            "lame_duck",
            Duration::from_secs(5),
            duration_in(Duration::ZERO..=Duration::from_mins(10)),
        ),
        grace: map.or("grace", Duration::from_mins(1), duration_in(Duration::ZERO..=DAY)),
    }
}

fn limits(map: &Mapping<'_>) -> Limits {
    let keys: &[&str] = &["connections", "header_bytes", "body_bytes", "header_timeout", "idle_timeout"];
    let map = map.section("limits", &[keys]);
    let header_bytes = map.or("header_bytes", 64 << 10, size_in(1 << 10..=1 << 20));
    Limits {
        connections: map.or("connections", 20_000, number_in(1..=10_000_000)),
        // At most 1 MiB, which every `usize` of ours holds.
        header_bytes: usize::try_from(header_bytes).unwrap_or(1 << 20),
        body_bytes: map.or("body_bytes", 100 << 20, size_in(1..=1 << 40)),
        header_timeout: map.or(
            "header_timeout",
            Duration::from_secs(10),
            duration_in(MS_100..=Duration::from_mins(10)),
        ),
        idle_timeout: map.or("idle_timeout", Duration::from_mins(1), duration_in(MS_100..=DAY)),
    }
}

fn access_log(map: &Mapping<'_>) -> AccessLog {
    AccessLog {
        format: map.or("format", LogFormat::Json, choice(FORMATS)),
        sample: map.or("sample", Share::ALL, str::parse),
    }
}
