//! nginx as a plain proxy that passes on what arrives when it arrives.

use std::process::Command;

use super::Setup;
use crate::contender::nginx::{HTTP, start};
use crate::error::Result;

pub(super) fn command(setup: &Setup<'_>) -> Result<Command> {
    start(setup.program, setup.dir, &conf(setup))
}

fn conf(setup: &Setup<'_>) -> String {
    format!(
        "worker_processes {threads};
worker_rlimit_nofile 65536;
daemon off;
pid nginx.pid;
error_log stderr crit;
events {{ worker_connections 30000; }}
http {{
{HTTP}  client_max_body_size 64m;
  client_body_buffer_size 1m;
  proxy_buffering off;
  proxy_read_timeout 600s;
  upstream provider {{ server {provider}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen {listen} backlog=4096;
    listen {http2} http2 backlog=4096;
    location / {{ proxy_pass http://provider; }}
  }}
}}
",
        threads = setup.threads,
        provider = setup.provider.address,
        listen = setup.listen,
        http2 = setup.listen_http2,
    )
}
