//! The log of the process itself, on standard error. `LOCKSTEP_LOG` sets its level and filters.

use tracing_log::log::LevelFilter;
use tracing_log::{AsLog as _, LogTracer};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// The variable that sets levels, in the syntax of `tracing-subscriber`'s filters.
pub const VARIABLE: &str = "LOCKSTEP_LOG";
/// Pingora reports what clients do as errors; the access log says it already. The client of Kubernetes
/// says of each failed request only that it failed; whoever asked says what that means.
const DEFAULT: &str =
    "info,pingora_core=off,pingora_proxy=off,pingora_load_balancing=off,kube_client=off,kube_runtime=off";

/// For commands whose output people read: only what is wrong.
const QUIET: &str = "warn,lockstep::process::reload=info,pingora_core=off,pingora_proxy=off,pingora_load_balancing=off,kube_client=off,kube_runtime=off";

/// Starts logging. A second call changes nothing.
pub fn start() {
    begin(DEFAULT);
}

/// Starts logging for a person at a terminal.
pub fn start_quiet() {
    begin(QUIET);
}

fn begin(default: &str) {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    let level = level_of_records(&filter);
    let subscriber = fmt::Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .finish();
    // Both fail only if something has set them before.
    let _set = tracing::subscriber::set_global_default(subscriber);
    let _set = LogTracer::builder().with_max_level(level).init();
}

/// What Pingora need not put together, because no filter lets it pass. Its trace is never wanted: it panics at a
/// response head that is not UTF-8 (`read_response_task` of its HTTP/1 client).
fn level_of_records(filter: &EnvFilter) -> LevelFilter {
    filter.max_level_hint().map_or(LevelFilter::Debug, |most| most.as_log().min(LevelFilter::Debug))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_nobody_reads_are_not_made() {
        for (filter, level) in [
            (DEFAULT, LevelFilter::Info),
            (QUIET, LevelFilter::Info),
            ("warn,pingora_core=debug", LevelFilter::Debug),
            ("trace", LevelFilter::Debug),
            ("off", LevelFilter::Off),
        ] {
            assert_eq!(level_of_records(&EnvFilter::new(filter)), level, "{filter}");
        }
    }
}
