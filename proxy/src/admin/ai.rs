//! What the AI gateway knows of its providers.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::ai::attempts::cooldown::Standing;
use crate::ai::snapshot::{Destination, Snapshot};
use crate::clock::millis;
use crate::process::Shared;

pub(super) async fn providers(State(shared): State<Shared>) -> Json<Value> {
    let snapshot = shared.ai.snapshot();
    Json(json!({"providers": snapshot.as_deref().map(list).unwrap_or_default()}))
}

fn list(snapshot: &Snapshot) -> Vec<Value> {
    let now = Instant::now();
    let providers = snapshot.config.providers.iter().map(|provider| {
        let targets = snapshot.routes().flat_map(|route| {
            let of_provider = route.targets.iter().filter(|to| to.target.provider.name == provider.name);
            of_provider.map(|to| target(&route.model.name, to, now))
        });
        json!({
            "name": &*provider.name,
            "base_url": provider.base.to_string(),
            "targets": targets.collect::<Vec<_>>(),
        })
    });
    providers.collect()
}

/// One target; `state` is `open`, `cooling`, with the time that is left, or `to_probe`.
fn target(model: &str, to: &Destination, now: Instant) -> Value {
    let state = match to.health.standing(now) {
        Standing::Open => "open",
        Standing::ToProbe => "to_probe",
        Standing::Cooling(_) => "cooling",
    };
    let left = to.health.cooling_until().map(|until| millis(until.saturating_duration_since(now)));
    json!({
        "model": model,
        "target": to.target.model.as_deref(),
        "state": state,
        "refuses": to.health.refuses(),
        "recent_failures": to.health.recent_failures(),
        "cooling_ms": left,
    })
}
