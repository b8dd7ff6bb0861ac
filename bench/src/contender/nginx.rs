//! nginx: an upstream block for each version of each app, chosen by an `if` chain on the cookie in each server.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Setup;
use crate::error::{Context as _, Result};
use crate::layout::{COOKIE, VERSION_HEADER, host, set_cookie, version};

/// What all of nginx's contenders have within `http`: no access log, files in their own directory, connections that
/// are kept, and the headers that every contender sets.
pub const HTTP: &str = "  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $request_id;
";

pub(super) fn command(setup: &Setup<'_>) -> Result<Command> {
    start(setup.program, setup.dir, &conf(setup)?)
}

/// Starts nginx with a configuration.
///
/// # Errors
/// If that cannot be written.
pub fn start(program: &Path, dir: &Path, conf: &str) -> Result<Command> {
    let config = dir.join("nginx.conf");
    fs::write(&config, conf).context(|| "cannot write nginx's configuration".to_owned())?;
    let mut command = Command::new(program);
    command.arg("-p").arg(dir).arg("-c").arg(config).args(["-e", "stderr"]);
    Ok(command)
}

fn conf(setup: &Setup<'_>) -> Result<String> {
    let mut upstreams = String::new();
    let mut servers = String::new();
    for app in setup.layout.apps() {
        for number in setup.layout.versions() {
            upstreams += &upstream(&format!("app{app}_{}", version(number)), setup.endpoint(number)?);
        }
        servers += &server(setup, app);
    }
    Ok(format!(
        "worker_processes {threads};
daemon off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 9000; }}
http {{
{HTTP}  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;
{upstreams}{servers}}}
",
        threads = setup.threads,
    ))
}

fn upstream(name: &str, endpoint: SocketAddr) -> String {
    format!("  upstream {name} {{ server {endpoint}; keepalive 64; keepalive_requests 1000000000; }}\n")
}

/// One server per app. A variable in `proxy_pass` would make nginx search its upstreams one by one
/// for each request; constants behind conditions cost less.
fn server(setup: &Setup<'_>, app: usize) -> String {
    let active = setup.layout.active();
    let mut pins = String::new();
    for id in setup.layout.versions().map(version) {
        pins += &format!(
            "      if ($cookie_{COOKIE} = {id}) {{ add_header {VERSION_HEADER} {id}; proxy_pass http://app{app}_{id}; }}\n"
        );
    }
    format!(
        "  server {{
    listen {listen};
    server_name {host};
    location / {{
      add_header {VERSION_HEADER} {active};
      add_header Set-Cookie \"{cookie}\";
      proxy_pass http://app{app}_{active};
{pins}    }}
  }}
",
        listen = setup.listen,
        host = host(app),
        cookie = set_cookie(&active),
    )
}
