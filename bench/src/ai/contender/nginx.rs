//! nginx as a plain proxy that passes on what arrives when it arrives.

use std::fs;
use std::process::Command;

use super::Setup;
use crate::error::{Context as _, Result};

pub(super) fn command(setup: &Setup<'_>) -> Result<Command> {
    let config = setup.dir.join("nginx.conf");
    fs::write(&config, conf(setup)).context(|| "cannot write nginx's configuration".to_owned())?;
    let mut command = Command::new(setup.program);
    command.arg("-p").arg(setup.dir).arg("-c").arg(config).args(["-e", "stderr"]);
    Ok(command)
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
  access_log off;
  server_tokens off;
  keepalive_requests 1000000000;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  proxy_http_version 1.1;
  proxy_buffering off;
  proxy_read_timeout 600s;
  proxy_set_header Connection \"\";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $request_id;
  upstream provider {{ server {provider}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen {listen} backlog=4096;
    listen {http2} http2 backlog=4096;
    location / {{ proxy_pass http://provider; }}
  }}
}}
",
        threads = setup.threads,
        provider = setup.provider,
        listen = setup.listen,
        http2 = setup.listen_http2,
    )
}
