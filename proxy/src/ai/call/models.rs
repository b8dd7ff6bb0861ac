//! `GET /models`: what the configuration offers, as far as the caller may use it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::admit::Caller;
use crate::ai::snapshot::{Route, Snapshot};

/// The list of models.
pub(crate) fn list(snapshot: &Snapshot, caller: &Caller) -> Bytes {
    let shown = snapshot.routes().filter(|route| route.model.pattern.is_none());
    let shown = shown.filter(|route| caller.may_use(&route.model.name));
    let data: Vec<Value> = shown.map(|route| model(&route.model.name, route)).collect();
    json!({"object": "list", "data": data}).to_string().into()
}

/// One model, if the caller may use it. A name that only a pattern stands for is one too.
pub(crate) fn one(snapshot: &Snapshot, caller: &Caller, name: &str) -> Option<Bytes> {
    let route = snapshot.model(name).filter(|_| caller.may_use(name))?;
    Some(model(name, route).to_string().into())
}

fn model(name: &str, route: &Route) -> Value {
    let owner = route.targets.first().map_or("lockstep", |to| &*to.target.provider.name);
    // When a model was made is nowhere to be known.
    json!({"id": name, "object": "model", "created": 0, "owned_by": owner})
}
