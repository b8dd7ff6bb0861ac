//! `ai.models`.

use std::sync::Arc;

use super::limits::{self, TIMEOUTS};
use super::model::{Midstream, Model, Pattern, Strategy, Target, Timeouts};
use super::providers::Providers;
use crate::ai::reading::Price;
use crate::config::cursor::Cursor;
use crate::config::mapping::Mapping;
use crate::config::value::{choice, number_in, quoted};

const KEYS: &[&str] = &["targets", "strategy", "midstream"];

const TARGET: &[&str] = &["provider", "model", "context_window", "prefill", "price", "weight", "timeouts"];

pub(super) const STRATEGY: &[(&str, Strategy)] =
    &[("priority", Strategy::Priority), ("weighted", Strategy::Weighted)];

pub(super) const MIDSTREAM: &[(&str, Midstream)] =
    &[("error", Midstream::Error), ("continue", Midstream::Continue)];

pub(super) fn read(map: &Mapping<'_>, providers: &Providers, timeouts: Timeouts) -> Vec<Arc<Model>> {
    let mut named = map.get("models").map(|at| at.named()).unwrap_or_default();
    // Their order says nothing.
    named.sort_by_key(|(name, _)| *name);
    named.iter().filter_map(|(name, at)| model(name, at, providers, timeouts).map(Arc::new)).collect()
}

fn model(name: &str, at: &Cursor<'_>, providers: &Providers, timeouts: Timeouts) -> Option<Model> {
    if name.is_empty() || name.chars().any(char::is_control) {
        at.error("is no name for a model");
    }
    let map = at.mapping(&[KEYS]);
    let strategy = map.or("strategy", Strategy::Priority, choice(STRATEGY));
    let midstream = map.or("midstream", Midstream::Error, choice(MIDSTREAM));
    let listed = map.required("targets")?;
    let items = listed.items();
    if items.is_empty() && listed.is_list() {
        listed.error("needs at least one target");
    }
    let targets: Vec<_> =
        items.iter().filter_map(|at| target(at, providers, timeouts, strategy).map(Arc::new)).collect();
    if strategy == Strategy::Weighted && !targets.is_empty() && targets.iter().all(|t| t.weight == 0) {
        listed.error("needs a target with a weight above 0");
    }
    let pattern = Pattern::is_pattern(name).then(|| Pattern::new(name));
    (!targets.is_empty() || items.is_empty()).then(|| Model {
        name: name.to_owned(),
        pattern,
        targets,
        strategy,
        midstream,
    })
}

fn target(at: &Cursor<'_>, providers: &Providers, timeouts: Timeouts, strategy: Strategy) -> Option<Target> {
    let map = at.mapping(&[TARGET]);
    if let (Some(at), Strategy::Priority) = (map.get("weight"), strategy) {
        at.error("has an effect with strategy: weighted only");
    }
    let provider = map.required("provider").and_then(|at| providers.find(&at));
    let model = map.get("model").map(|at| at.parse(name));
    Some(Target {
        provider: provider?,
        model: model.flatten(),
        context_window: map.get("context_window").and_then(|at| at.parse(number_in(1..=u64::MAX >> 1))),
        prefill: map.flag("prefill", false),
        price: map.get("price").and_then(|at| price(&at)),
        weight: map.or("weight", 1, number_in(0..=1_000_000)),
        timeouts: limits::timeouts(&map.section("timeouts", &[TIMEOUTS]), timeouts),
    })
}

fn name(text: &str) -> Result<Arc<str>, String> {
    let valid = !text.is_empty() && !text.chars().any(char::is_control);
    valid.then(|| text.into()).ok_or_else(|| format!("{} is no name of a model", quoted(text)))
}

fn price(at: &Cursor<'_>) -> Option<Price> {
    let map = at.mapping(&[&["input", "output", "cached_input"]]);
    let input = map.required("input").and_then(|at| at.parse(str::parse));
    let output = map.required("output").and_then(|at| at.parse(str::parse));
    let cached_input = map.get("cached_input").and_then(|at| at.parse(str::parse));
    Some(Price { input: input?, output: output?, cached_input })
}
