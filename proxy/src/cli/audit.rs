//! `lockstep audit`: whether the shipped records are all there and unchanged, what the journal of a running
//! instance holds, and shipping from a volume that was left behind.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use lockstep_queue::ship::verify::{Archive, Finding, Summary, Verifier};
use lockstep_queue::ship::{CheckSignature, DirSink, Ed25519Verifier, Shipper};
use serde_json::{Value, json};

use super::client::Client;
use super::{Failure, Instance, Outcome, render};
use crate::audit::{Audit, Durability, ship};
use crate::config;
use crate::config::audit::model::{S3, Sink};
use crate::process::DataDir;

/// How a bucket is written.
const S3_SCHEME: &str = "s3://";

/// What to do with audit records.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check that records are all there and unchanged; exit code 1 if not, or if there are none.
    Verify {
        /// A directory, or s3://bucket/prefix; with --config, the sink of the configuration.
        #[arg(required_unless_present = "config")]
        place: Option<String>,
        /// The public key (PEM) of the signatures that every object must have.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// The S3 server, if it is not that of AWS.
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
        /// The configuration whose sink is checked.
        #[arg(long, short, value_name = "FILE", conflicts_with = "place")]
        config: Option<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what the journal of a running instance holds and what was shipped.
    Stats(Instance),
    /// Follow the records of a running instance as they end: a line of JSON each, with or without --json.
    ///
    /// `id` is the one they are shipped with, `seq` is not yet: it counts from the beginning of the tail.
    Tail(Instance),
    /// Ship what a data directory that nobody uses holds, to the sink of a configuration.
    Ship {
        /// The data directory; default: that of the configuration.
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// The configuration file.
        #[arg(long, short, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
        config: PathBuf,
        /// Give up after so many seconds.
        #[arg(long, default_value = "300")]
        within: u64,
    },
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Verify { place, key, endpoint, config, json } => {
            let sink = match (place, config) {
                (_, Some(file)) => {
                    let config = config::load(file).map_err(Failure::Config)?;
                    located(&config.audit.sink, &config.server.data_dir)
                }
                (place, None) => parsed(place.as_deref().unwrap_or_default(), endpoint.clone()),
            };
            block_on(Box::pin(verify(&sink, key.as_deref(), *json)))?
        }
        Command::Stats(instance) => {
            let stats: Value = Client::new(instance)?.get("audit/stats")?;
            if instance.json {
                render::json(&stats);
            } else {
                render::table(["", ""], rows(&stats));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Tail(instance) => {
            for line in Client::new(instance)?.lines("audit/tail")? {
                let line = line.map_err(|error| format!("the instance went away: {error}"))?;
                if !line.is_empty() && !render::followed_line(&line) {
                    break;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Ship { data_dir, config, within } => {
            ship_rest(config, data_dir.as_deref(), Duration::from_secs(*within))
        }
    }
}

/// Figures by their names, and what is wrong.
fn rows(stats: &Value) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    for (part, figures) in stats.as_object().into_iter().flatten() {
        let named = figures.as_object().into_iter().flatten();
        rows.extend(named.map(|(name, figure)| [format!("{part} {name}"), figure.to_string()]));
        let problems = figures.as_array().into_iter().flatten().filter_map(Value::as_str);
        rows.extend(problems.map(|problem| ["problem".to_owned(), problem.to_owned()]));
    }
    rows
}

fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(runtime.map_err(|error| error.to_string())?.block_on(future))
}

/// The sink of a configuration, with its directory filled in.
fn located(sink: &Sink, data_dir: &Path) -> Sink {
    match sink {
        Sink::Dir { path, keep } => {
            Sink::Dir { path: Some(ship::directory(path.as_deref(), data_dir)), keep: *keep }
        }
        Sink::S3(s3) => Sink::S3(s3.clone()),
    }
}

fn parsed(place: &str, endpoint: Option<String>) -> Sink {
    let Some(rest) = place.strip_prefix(S3_SCHEME) else {
        return Sink::Dir { path: Some(place.into()), keep: None };
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let path_style = endpoint.is_some();
    Sink::S3(S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned(), region: None, endpoint, path_style })
}

async fn verify(sink: &Sink, key: Option<&Path>, as_json: bool) -> Outcome {
    let signatures = key.map(public_key).transpose()?;
    let (archive, prefix): (Box<dyn Archive>, String) = match sink {
        Sink::Dir { path, .. } => {
            let path = path.clone().unwrap_or_default();
            if !path.is_dir() {
                return Err(Failure::Other(format!("{} is not a directory", path.display())));
            }
            (Box::new(DirSink::new(path)), String::new())
        }
        Sink::S3(s3) => {
            let bucket = Box::pin(ship::bucket(s3)).await.map_err(|error| error.to_string())?;
            (Box::new(bucket), s3.prefix.clone())
        }
    };
    let signatures = signatures.as_ref().map(|key| key as &dyn CheckSignature);
    let mut verifier = Verifier::new(&*archive, prefix, signatures);
    let mut findings = Vec::new();
    while let Some(checked) = Box::pin(verifier.next()).await.map_err(|error| error.to_string())? {
        for finding in checked.findings {
            let told = told(&finding);
            if !as_json {
                render::line(&format!("{}: {told}", checked.key));
            }
            findings.push(json!({"object": checked.key, "finding": told}));
        }
    }
    let summary = verifier.summary();
    if as_json {
        render::json(&shown(summary, &findings));
    } else {
        tell(summary, signatures.is_some());
    }
    let fine = findings.is_empty() && summary.objects > 0;
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn shown(summary: &Summary, findings: &[Value]) -> Value {
    let nodes = summary.nodes.iter();
    let nodes = nodes.map(
        |(node, range)| json!({"node": node, "first": range.start, "last": range.end.saturating_sub(1)}),
    );
    json!({
        "objects": summary.objects,
        "records": summary.lines,
        "nodes": nodes.collect::<Value>(),
        "findings": findings,
    })
}

/// Says what was looked at, and what that can't tell.
fn tell(summary: &Summary, signed: bool) {
    for (node, range) in summary.nodes.iter().filter(|(_, range)| range.start > 0) {
        render::line(&format!("{node}: begins with record {}; those before it are not here", range.start));
    }
    let verdict = match summary {
        Summary { objects: 0, .. } => "nothing there",
        Summary { findings: 0, nodes, .. } if nodes.values().all(|range| range.start == 0) => {
            "all there, unchanged"
        }
        Summary { findings: 0, .. } => "all there from where they begin, unchanged",
        _ => "NOT as it was shipped",
    };
    let Summary { objects, lines, nodes, .. } = summary;
    let count = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let nodes = u64::try_from(nodes.len()).unwrap_or(u64::MAX);
    let (lines, objects) = (count(*lines, "record"), count(*objects, "object"));
    render::line(&format!("{lines} in {objects} of {}: {verdict}", count(nodes, "node")));
    if !signed && nodes > 0 {
        render::line(
            "without --key nobody vouches for the last record of each node: no other holds its hash, and what followed it \
             may be missing",
        );
    }
}

fn public_key(path: &Path) -> Result<Ed25519Verifier, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::Other(format!("{}: {error}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(&error))?;
    Ed25519Verifier::from_pem(&pem).map_err(|error| wrong(&error))
}

fn told(finding: &Finding) -> String {
    match finding {
        Finding::Foreign => "is no object of ours".to_owned(),
        Finding::Missing { records } => {
            format!("records {} to {} before it are missing", records.start, records.end.saturating_sub(1))
        }
        Finding::Duplicate { records } => {
            format!("records {} to {} are there twice", records.start, records.end.saturating_sub(1))
        }
        Finding::Conflict => "went beside another object that had its key".to_owned(),
        Finding::Edited { line } => format!("the line before line {line} was changed, removed or added"),
        Finding::Unchained { line } => format!("line {line} does not say what came before it"),
        Finding::Lines { expected, found } => format!("has {found} lines, its name says {expected}"),
        Finding::Unreadable(why) => format!("can't be decompressed: {why}"),
        Finding::Unsigned => "has no signature".to_owned(),
        Finding::BadSignature => "its signature is not one of this object".to_owned(),
        _ => "is not as it was shipped".to_owned(),
    }
}

fn ship_rest(config: &Path, data_dir: Option<&Path>, within: Duration) -> Outcome {
    let config = config::load(config).map_err(Failure::Config)?;
    let data_dir = data_dir.unwrap_or(&config.server.data_dir);
    if !data_dir.is_dir() {
        return Err(Failure::Other(format!("{} is not a directory", data_dir.display())));
    }
    // Nobody else may write into the journal meanwhile.
    let claimed = DataDir::claim(data_dir).map_err(|error| error.to_string())?;
    let audit = &config.audit;
    let (opened, recovery) =
        Audit::open(audit, audit.durability.unwrap_or(Durability::Strict), claimed.path())
            .map_err(|error| error.to_string())?;
    let shipped = block_on(Box::pin(async {
        let journal = opened.journal.clone();
        let shipper = Box::pin(ship::shipper(audit, claimed.path(), &opened.node, journal, &recovery))
            .await
            .map_err(|error| error.to_string())?;
        let flushed = tokio::select! {
            ended = shipper.run(std::future::pending()) => ended.map_err(|error| error.to_string()),
            flushed = flush(&opened, &shipper, within) => flushed,
        };
        let records = shipper.stats().records;
        drop(shipper);
        let closed = opened.journal.shutdown().await.map_err(|error| error.to_string());
        flushed.and(closed).map(|()| records)
    }))??;
    render::line(&format!("{shipped} records shipped; nothing is left in {}", claimed.path().display()));
    Ok(ExitCode::SUCCESS)
}

/// Ships everything, and then what there was no room for in the journal before.
async fn flush(opened: &Audit, shipper: &Shipper, within: Duration) -> Result<(), String> {
    shipper.flush(within).await.map_err(|error| error.to_string())?;
    if opened.late.waiting() == 0 {
        return Ok(());
    }
    opened.late.write().await;
    opened.journal.sync().await.map_err(|error| error.to_string())?;
    shipper.flush(within).await.map_err(|error| error.to_string())?;
    match opened.late.waiting() {
        0 => Ok(()),
        calls => Err(format!("{calls} calls could not be ended for want of room; ship once more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_problems_are_rows() {
        let stats = json!({"journal": {"frames": 3, "limit": null}, "problems": ["no room"]});
        let expected = [["journal frames", "3"], ["journal limit", "null"], ["problem", "no room"]];
        assert_eq!(rows(&stats), expected.map(|row| row.map(str::to_owned)));
    }
}
