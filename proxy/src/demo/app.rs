//! The app of the demo: a page, its script, an API and a live clock, each of which says by which
//! version it was served.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::stream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::DemoError;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("script.js");

/// One version that runs on a thread of its own, as it would in a process of its own.
pub(super) struct Running {
    /// Where it listens.
    pub(super) addr: SocketAddr,
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

/// Starts a version of the app.
pub(super) fn start(version: &str, addr: SocketAddr) -> Result<Running, DemoError> {
    serve(version, addr, router(version))
}

/// Starts a server on a thread of its own.
pub(super) fn serve(name: &str, addr: SocketAddr, app: Router) -> Result<Running, DemoError> {
    let failed = |source| DemoError::Io { what: format!("{name} on {addr}"), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let listener = runtime.block_on(TcpListener::bind(addr)).map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let thread = std::thread::Builder::new()
        .name(format!("demo-{name}"))
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    served = async { axum::serve(listener, app).await } => {
                        if let Err(error) = served {
                            tracing::error!(%error, "the demo app failed");
                        }
                    }
                    () = stopped.cancelled() => {}
                }
            });
        })
        .map_err(failed)?;
    Ok(Running { addr, stop, thread })
}

impl Running {
    /// Ends it.
    pub(super) fn stop(self) {
        self.stop.cancel();
        self.join();
    }

    /// Lets it run until a signal ends the process.
    pub(super) fn until_interrupted(self) {
        self.join();
    }

    fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the demo app panicked");
        }
    }
}

fn router(version: &str) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/app.js", get(script))
        .route("/api/version", get(api))
        .route("/events", get(events))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(version.to_owned())
}

async fn page(State(version): State<String>) -> Response {
    text("text/html; charset=utf-8", PAGE.replace("{{version}}", &version))
}

async fn script(State(version): State<String>) -> Response {
    text("text/javascript; charset=utf-8", SCRIPT.replace("{{version}}", &version))
}

async fn api(State(version): State<String>) -> Response {
    text("application/json", format!("{{\"version\":\"{version}\"}}\n"))
}

/// One event a second, at once and for ever.
async fn events(State(version): State<String>) -> Response {
    let ticks = stream::unfold((version, false), |(version, started)| async move {
        if started {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let now = jiff::Timestamp::now();
        let event = format!("data: {{\"version\":\"{version}\",\"time\":\"{now:.0}\"}}\n\n");
        Some((Ok::<_, Infallible>(Bytes::from(event)), (version, true)))
    });
    ([(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")], Body::from_stream(ticks))
        .into_response()
}

fn text(kind: &'static str, body: String) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "private, no-cache")], body).into_response()
}
