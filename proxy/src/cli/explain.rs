//! `lockstep explain`: where a request would go, and why. A running instance is asked where there
//! is one; without, the answer comes from the configuration and the states that were kept.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use lockstep_controller::VersionSnapshot;
use lockstep_controller::cluster::kept::Kept;
use lockstep_controller::store::Store;

use super::client::{Client, segment};
use super::{Failure, Instance, Outcome, render};
use crate::config;
use crate::explain::{self, Explanation, Question};
use crate::metrics::Metrics;
use crate::plane::Plane;
use crate::process::DataDir;

/// Say where a request would go, and why.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The host that it asks for.
    #[arg(long)]
    host: String,
    /// Its path.
    #[arg(long, default_value = "/")]
    path: String,
    /// Its query, without the question mark.
    #[arg(long)]
    query: Option<String>,
    /// Its method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// The value of its Cookie header.
    #[arg(long)]
    cookie: Option<String>,
    /// A further header, as "name: value"; may be repeated.
    #[arg(long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    #[command(flatten)]
    instance: Instance,
}

pub(super) fn run(explain: &Explain) -> Outcome {
    let question = question(explain)?;
    let explanation = match &explain.instance.config {
        Some(file) if !runs(file)? => from_file(file, &question)?,
        _ => Client::new(&explain.instance)?.get(&format!("explain?{}", encode(&question)))?,
    };
    if explain.instance.json {
        render::json(&explanation);
    } else {
        show(&explanation);
    }
    Ok(ExitCode::SUCCESS)
}

fn question(explain: &Explain) -> Result<Question, Failure> {
    if let Some(header) = explain.headers.iter().find(|header| !header.contains(':') || header.contains('\n'))
    {
        return Err(Failure::Other(format!("--header {header:?} is not \"name: value\"")));
    }
    let query = explain.query.as_ref().map(|query| format!("?{}", query.trim_start_matches('?')));
    Ok(Question {
        host: explain.host.clone(),
        path: format!("{}{}", explain.path, query.unwrap_or_default()),
        method: explain.method.clone(),
        cookie: explain.cookie.clone(),
        headers: (!explain.headers.is_empty()).then(|| explain.headers.join("\n")),
    })
}

fn encode(question: &Question) -> String {
    let fields = [
        ("host", Some(&question.host)),
        ("path", Some(&question.path)),
        ("method", Some(&question.method)),
        ("cookie", question.cookie.as_ref()),
        ("headers", question.headers.as_ref()),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value?))));
    given.collect::<Vec<_>>().join("&")
}

/// Whether an instance runs with this configuration.
fn runs(file: &Path) -> Result<bool, Failure> {
    let config = config::load(file).map_err(Failure::Config)?;
    Ok(DataDir::is_in_use(&config.server.data_dir))
}

/// Answers without an instance, changing nothing.
fn from_file(file: &Path, question: &Question) -> Result<Explanation, Failure> {
    let config = config::load(file).map_err(Failure::Config)?;
    let metrics = Metrics::new().map_err(|error| error.to_string())?;
    let records = Store::new(&config.server.data_dir).peek().map_err(|error| error.to_string())?;
    let kept = Kept::new(&config.server.data_dir).peek().map_err(|error| error.to_string())?;
    let kept = if config.kubernetes.enabled { kept } else { VersionSnapshot::default() };
    let (specs, ai) = (config.app_specs(), config.ai.clone());
    let plane = Plane::new(config, metrics);
    let snapshot = lockstep_controller::controller::preview(records, specs, &*plane);
    plane.route(&Arc::new(snapshot)).map_err(|error| error.to_string())?;
    plane.route_cluster(&Arc::new(kept)).map_err(|error| error.to_string())?;
    Ok(explain::explain(&plane.table(), ai.as_deref(), question).map_err(|error| error.to_string())?)
}

fn show(explanation: &Explanation) {
    let none = || "-".to_owned();
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(none);
    let answer = match explanation.status {
        Some(status) => format!("{status} {}", explanation.reason),
        None => format!("served ({})", explanation.reason),
    };
    let endpoints = if explanation.endpoints.is_empty() { none() } else { explanation.endpoints.join(", ") };
    let rows = [
        ("answer", answer),
        ("why", explanation.why.clone()),
        ("app", or_none(&explanation.app)),
        ("version", or_none(&explanation.version)),
        ("state", or_none(&explanation.state)),
        ("active version", or_none(&explanation.active)),
        ("canary", or_none(&explanation.canary)),
        ("endpoints", endpoints),
        ("page load", yes_no(explanation.page_load)),
        ("sets the pin", yes_no(explanation.pins)),
        ("x-lockstep-skew", or_none(&explanation.skew)),
    ];
    for (name, value) in rows {
        render::line(&format!("{name:<16} {value}"));
    }
}

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
