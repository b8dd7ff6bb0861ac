//! Section `ai` as it may be shown.

use serde_json::{Map, Value, json};

use super::model::{Ai, Model, Provider, Retry, Target, Timeouts};
use super::models::{MIDSTREAM, STRATEGY};
use super::providers::{HTTP2, KINDS};
use crate::ai::reading::{Price, Usage};
use crate::config::masked::{path_text, secret_json};
use crate::config::value::{duration_text, size_text, word};

const MILLION: Usage = Usage { input: 1_000_000, output: 0, cached_input: 0, reasoning: 0 };

/// The section in the shape of the file, with every default and without any secret.
pub(in crate::config) fn json(ai: &Ai) -> Value {
    let named = |entries: Vec<(String, Value)>| Value::Object(entries.into_iter().collect::<Map<_, _>>());
    let keys = ai.keys.iter().map(|key| {
        let limits = json!({"requests_per_minute": key.requests_per_minute, "concurrent": key.concurrent});
        json!({
            "id": key.identity.id,
            "sha256": hex::encode(key.sha256),
            "expires": key.expires.map(|at| at.to_string()),
            "labels": key.identity.labels,
            "models": key.models.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "limits": limits,
        })
    });
    json!({
        "hosts": ai.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "path": ai.path.as_str(),
        "auth": word(super::AUTH, &ai.auth),
        "allow_anonymous": ai.allow_anonymous,
        "keys": keys.collect::<Vec<_>>(),
        "providers": named(ai.providers.iter().map(|p| (p.name.to_string(), provider(p))).collect()),
        "models": named(ai.models.iter().map(|model| (model.name.clone(), model_json(model))).collect()),
        "default_provider": ai.default_provider.as_ref().map(|provider| provider.name.to_string()),
        "timeouts": timeouts(&ai.timeouts),
        "retry": retry(&ai.retry),
        "cooldown": {
            "failures": ai.cooldown.failures,
            "window": duration_text(ai.cooldown.window),
            "for": duration_text(ai.cooldown.duration),
        },
        "keep_alive": ai.keep_alive.map_or_else(|| "off".to_owned(), duration_text),
        "limits": {
            "body_bytes": size_text(ai.limits.body_bytes),
            "buffered": size_text(ai.limits.buffered),
        },
    })
}

fn provider(provider: &Provider) -> Value {
    json!({
        "kind": word(KINDS, &provider.kind),
        "base_url": provider.base.to_string(),
        "api_key": provider.api_key.as_ref().map(secret_json),
        "api_version": provider.api_version,
        "accepts_caller_key": provider.accepts_caller_key,
        "ca": provider.ca.as_deref().map(path_text),
        "http2": word(HTTP2, &provider.http2),
        "idle_timeout": duration_text(provider.idle_timeout),
    })
}

fn model_json(model: &Model) -> Value {
    let weighted = model.strategy == super::model::Strategy::Weighted;
    json!({
        "targets": model.targets.iter().map(|t| target(t, weighted)).collect::<Vec<_>>(),
        "strategy": word(STRATEGY, &model.strategy),
        "midstream": word(MIDSTREAM, &model.midstream),
    })
}

fn target(target: &Target, weighted: bool) -> Value {
    json!({
        "provider": target.provider.name.to_string(),
        "model": target.model.as_deref(),
        "context_window": target.context_window,
        "prefill": target.prefill,
        "price": target.price.as_ref().map(price),
        "weight": weighted.then_some(target.weight),
        "timeouts": timeouts(&target.timeouts),
    })
}

fn price(price: &Price) -> Value {
    let million = |rate| Price { input: rate, ..Price::default() }.cost(MILLION).to_string();
    json!({
        "input": million(price.input),
        "output": million(price.output),
        "cached_input": price.cached_input.map(million),
    })
}

fn timeouts(timeouts: &Timeouts) -> Value {
    json!({
        "connect": duration_text(timeouts.connect),
        "first_event": duration_text(timeouts.first_event),
        "idle": duration_text(timeouts.idle),
        "total": duration_text(timeouts.total),
    })
}

fn retry(retry: &Retry) -> Value {
    let words = [("connect", retry.on.connect), ("reset", retry.on.reset), ("timeout", retry.on.timeout)];
    let words = words.into_iter().filter(|(_, on)| *on).map(|(word, _)| word.to_owned());
    let statuses = retry.on.statuses.iter().map(ToString::to_string);
    let class = retry.on.server_errors.then(|| "5xx".to_owned());
    json!({
        "per_target": retry.per_target,
        "total": retry.total,
        "on": words.chain(statuses).chain(class).collect::<Vec<_>>(),
        "backoff": {"base": duration_text(retry.base), "max": duration_text(retry.max)},
        "wait": duration_text(retry.wait),
    })
}
