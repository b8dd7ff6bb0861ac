//! The log of the process itself, on standard error. `LOCKSTEP_LOG` sets its level and filters.

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
    let subscriber = fmt::Subscriber::builder()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .finish();
    // Both fail only if something has set them before.
    let _set = tracing::subscriber::set_global_default(subscriber);
    let _set = tracing_log::LogTracer::init();
}
