//! The effective configuration as it may be shown: in the shape of the file, with every default
//! and without any secret.

use std::path::Path;

use serde_json::{Value, json};

use super::model::{Admin, App, Config, Listener, Preview, Server, Skew, Threads, Tls, Upstream};
use super::secret::{Secret, Source};
use super::value::{duration_text, size_text, word};
use super::{admin, ai, app, audit, cookie, kubernetes, policy, server, skew};

impl Config {
    /// The effective configuration; secrets are `***` beside where they come from.
    #[must_use]
    pub fn to_masked_json(&self) -> Value {
        let fixed = self.apps.iter().map(|app| app_json(app));
        let of_cluster =
            self.cluster_apps.entries.values().map(|entry| without_versions(app_json(&entry.app)));
        let apps = fixed.chain(of_cluster).collect::<Vec<_>>();
        let defaults = &self.cluster_apps.defaults;
        let ai = self.ai.as_deref().map(ai::json);
        json!({
            "server": server_json(&self.server),
            "skew": joined(skew_json(&defaults.skew), policy_json(&defaults.policy)),
            "apps": apps,
            "kubernetes": kubernetes::json(&self.kubernetes),
            "ai": ai,
            "audit": audit::json(&self.audit),
        })
    }
}

fn server_json(server: &Server) -> Value {
    let limits = &server.limits;
    let threads = match server.threads {
        Threads::Auto => json!("auto"),
        Threads::Fixed(number) => json!(number),
    };
    json!({
        "data_dir": path_text(&server.data_dir),
        "threads": threads,
        "listen": server.listen.iter().map(listener_json).collect::<Vec<_>>(),
        "admin": admin_json(&server.admin),
        "trusted_proxies": server.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "shutdown": {
            "lame_duck": duration_text(server.shutdown.lame_duck),
            "grace": duration_text(server.shutdown.grace),
        },
        "limits": {
            "connections": limits.connections,
            "header_bytes": size_text(u64::try_from(limits.header_bytes).unwrap_or(u64::MAX)),
            "body_bytes": size_text(limits.body_bytes),
            "header_timeout": duration_text(limits.header_timeout),
            "idle_timeout": duration_text(limits.idle_timeout),
        },
        "access_log": {
            "format": word(server::FORMATS, &server.access_log.format),
            "sample": server.access_log.sample.to_string(),
        },
    })
}

fn listener_json(listener: &Listener) -> Value {
    json!({
        "addr": listener.addr,
        "redirect_https": listener.redirect_https,
        "proxy_protocol": listener.proxy_protocol,
        "tls": listener.tls.as_ref().map(tls_json),
    })
}

fn tls_json(tls: &Tls) -> Value {
    let pair = |cert: &Path, key: &Path| json!({"cert": path_text(cert), "key": path_text(key)});
    let certificates = tls.certificates.iter().map(|files| pair(&files.cert, &files.key));
    json!({"certificates": certificates.collect::<Vec<_>>()})
}

fn admin_json(admin: &Admin) -> Value {
    let token = |token: &super::model::AdminToken| json!({"name": token.name, "token": secret_json(&token.token), "can": word(admin::PERMISSIONS, &token.can)});
    json!({
        "addr": admin.addr,
        "tls": admin.tls.as_ref().map(tls_json),
        "tokens": admin.tokens.iter().map(token).collect::<Vec<_>>(),
        "metrics": {"token": admin.metrics_token.as_ref().map(secret_json)},
    })
}

/// A path as text: JSON holds no other.
pub(super) fn path_text(path: &Path) -> String {
    path.display().to_string()
}

pub(super) fn secret_json(secret: &Secret) -> Value {
    match secret.source() {
        Source::Env(name) => json!({"env": name, "value": "***"}),
        Source::File(path) => json!({"file": path_text(path), "value": "***"}),
        Source::Value => json!({"value": "***"}),
    }
}

fn app_json(app: &App) -> Value {
    let versions =
        app.versions.iter().map(|version| json!({"id": version.id, "endpoints": version.endpoints}));
    let json = json!({
        "name": app.id.name(),
        "namespace": app.id.namespace(),
        "hosts": app.hosts.iter().map(super::value::HostPattern::as_str).collect::<Vec<_>>(),
        "path": app.path.as_str(),
        "strip_prefix": app.strip_prefix,
        "versions": versions.collect::<Vec<_>>(),
        "active": app.active,
        "canary": app.canary.as_ref().map(|canary| json!({
            "version": canary.version,
            "share": canary.share.to_string(),
        })),
        "balance": word(app::BALANCE, &app.balance),
        "upstream": upstream_json(&app.upstream),
        "health": app.health.as_ref().map(|health| json!({
            "path": health.path,
            "interval": duration_text(health.interval),
        })),
        "ejection": {
            "failures": app.ejection.failures,
            "for": duration_text(app.ejection.duration),
            "max_share": app.ejection.max_share.to_string(),
        },
        "audit": word(app::AUDIT, &app.audit),
    });
    joined(json, joined(skew_json(&app.skew), policy_json(&app.policy)))
}

/// An object with the fields of another.
fn joined(mut json: Value, part: Value) -> Value {
    if let (Value::Object(json), Value::Object(part)) = (&mut json, part) {
        json.extend(part);
    }
    json
}

fn without_versions(mut app: Value) -> Value {
    if let Value::Object(app) = &mut app {
        app.remove("versions");
    }
    app
}

fn upstream_json(upstream: &Upstream) -> Value {
    json!({
        "connect_timeout": duration_text(upstream.connect_timeout),
        "read_timeout": duration_text(upstream.read_timeout),
        "idle_timeout": duration_text(upstream.idle_timeout),
        "tls": upstream.tls,
        "ca": upstream.ca.as_ref().map(|bundle| path_text(&bundle.path)),
        "sni": upstream.sni,
        "http2": upstream.http2,
        "retries": upstream.retries,
    })
}

fn skew_json(skew: &Skew) -> Value {
    let preview = match &skew.preview {
        Preview::Closed => json!({"access": "closed"}),
        Preview::Open => json!({"access": "open"}),
        Preview::Token(token) => json!({"access": "token", "token": secret_json(token)}),
    };
    json!({
        "cookie": {
            "name": skew.cookie.name,
            "max_age": duration_text(skew.cookie.max_age),
            "same_site": word(cookie::SAME_SITE, &skew.cookie.same_site),
            "secure": word(cookie::SECURE, &skew.cookie.secure),
            "http_only": skew.cookie.http_only,
        },
        "header": skew.header.as_str(),
        "query": skew.query,
        "query_on_navigation": skew.query_on_navigation,
        "navigation": word(skew::NAVIGATION, &skew.navigation),
        "on_expired": word(skew::ON_EXPIRED, &skew.on_expired),
        "on_unhealthy": word(skew::ON_UNHEALTHY, &skew.on_unhealthy),
        "preview": preview,
        "response_headers": skew.response_headers,
    })
}

fn policy_json(of: &lockstep_controller::Policy) -> Value {
    json!({
        "ready": {
            "share": of.ready.share.to_string(),
            "deadline": duration_text(of.ready.deadline),
        },
        "grace": duration_text(of.grace),
        "idle_window": duration_text(of.idle_window),
        "max_alive": duration_text(of.max_alive),
        "max_versions": of.max_versions.map_or_else(|| json!("unlimited"), |number| json!(number)),
        "expire_policy": word(policy::EXPIRE, &of.webhook.is_some()),
        "webhook": of.webhook.as_ref().map(|webhook| json!({
            "url": webhook.url,
            "timeout": duration_text(webhook.timeout),
        })),
        "requires_approval": of.requires_approval,
        "cleanup": word(policy::CLEANUP, &of.cleanup),
        "mode": word(policy::MODE, &of.mode),
    })
}
