//! HAProxy: a backend for each version of each app, chosen by a map on host and cookie.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Setup;
use crate::error::{Context as _, Result};
use crate::layout::{COOKIE, VERSION_HEADER, host, set_cookie, version};

pub(super) fn command(setup: &Setup<'_>) -> Result<Command> {
    let map = setup.dir.join("pins.map");
    let config = setup.dir.join("haproxy.cfg");
    fs::write(&map, pins(setup)).context(|| "cannot write HAProxy's map".to_owned())?;
    fs::write(&config, cfg(setup, &map)?).context(|| "cannot write HAProxy's configuration".to_owned())?;
    let mut command = Command::new(setup.program);
    command.arg("-db").arg("-f").arg(config);
    Ok(command)
}

/// `host:version backend` for every pin, `host: backend` for visitors without one.
fn pins(setup: &Setup<'_>) -> String {
    let mut map = String::new();
    for app in setup.layout.apps() {
        let host = host(app);
        for id in setup.layout.versions().map(version) {
            map += &format!("{host}:{id} app{app}_{id}\n");
        }
        map += &format!("{host}: app{app}_{}\n", setup.layout.active());
    }
    map
}

fn cfg(setup: &Setup<'_>, map: &Path) -> Result<String> {
    let map = map.display();
    let mut cfg = format!(
        "global
  nbthread {threads}
  maxconn 8000
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-keep-alive 60s
  http-reuse always
  option forwardfor
frontend edge
  bind {listen}
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-var(txn.pin) req.cook({COOKIE})
  http-request set-var(txn.host) req.hdr(host),field(1,:)
  http-request set-var(txn.backend) var(txn.host),concat(:,txn.pin),map({map})
  http-request set-var(txn.fresh) bool(true) if !{{ var(txn.pin) -m found }} || !{{ var(txn.backend) -m found }}
  http-request set-var(txn.backend) var(txn.host),concat(:),map({map}) if !{{ var(txn.backend) -m found }}
  use_backend %[var(txn.backend)]
",
        threads = setup.threads,
        listen = setup.listen,
    );
    for app in setup.layout.apps() {
        for number in setup.layout.versions() {
            let (id, endpoint) = (version(number), setup.endpoint(number)?);
            cfg += &format!("backend app{app}_{id}\n  http-response set-header {VERSION_HEADER} {id}\n");
            if id == setup.layout.active() {
                let cookie = set_cookie(&id).replace(' ', "\\ ");
                cfg += &format!(
                    "  http-response add-header Set-Cookie {cookie} if {{ var(txn.fresh) -m bool }}\n"
                );
            }
            cfg += &format!("  server s {endpoint}\n");
        }
    }
    Ok(cfg)
}
