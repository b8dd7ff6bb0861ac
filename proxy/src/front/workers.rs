//! The worker threads of the data plane. Each has a single-threaded runtime, a proxy and a
//! connection pool of its own, so that a request never leaves its thread: no wake-up crosses
//! threads, and no pool is locked by two.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::FutureExt as _;
use pingora::apps::{HttpServerApp as _, HttpServerOptions};
use pingora::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::BEFORE_RESET;
use super::tracked::{Registry, Tracked};
use crate::edge::Edge;
use crate::edge::engine::Engine;
use crate::metrics::Metrics;

/// Attempts of one request, an upper bound for all apps: the app's own number decides.
const MAX_ATTEMPTS: usize = 256;
/// How long a connection may be without a request at shutdown.
const IDLE_AT_SHUTDOWN: Duration = Duration::from_secs(1);
/// Idle connections to endpoints that one worker keeps: more than ten thousand versions have in use
/// at once. Each goes by itself after the app's idle timeout.
const IDLE_UPSTREAM_CONNECTIONS: usize = 32 * 1024;
/// Concurrent streams of one HTTP/2 client connection, the least that is recommended (RFC 9113, 6.5.2). A client that
/// does not read makes each of them hold half a MiB of its answer.
const MAX_STREAMS: u32 = 100;

/// One worker thread.
pub struct Worker {
    /// What serves the requests of its connections.
    pub engine: Arc<Engine>,
    /// Turns true when connections should come to an end.
    pub draining: watch::Receiver<bool>,
    handle: Handle,
    open: AtomicUsize,
    metrics: Arc<Metrics>,
}

/// All worker threads.
pub struct Workers {
    workers: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
    connections: TaskTracker,
    open: Arc<Registry>,
    stop: CancellationToken,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no thread or no runtime.
    pub fn start(
        count: usize,
        edge: &Edge,
        header_bytes: usize,
        idle: Duration,
        draining: &watch::Receiver<bool>,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let mut all = Self {
            workers: Vec::new(),
            threads: Vec::new(),
            connections: TaskTracker::new(),
            open: Arc::default(),
            stop: stop.clone(),
        };
        for index in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let worker = Worker {
                engine: Arc::new(engine(edge.unshared(), header_bytes, idle)),
                draining: draining.clone(),
                handle: runtime.handle().clone(),
                open: AtomicUsize::new(0),
                metrics: Arc::clone(metrics),
            };
            all.workers.push(Arc::new(worker));
            let stop = stop.clone();
            let thread = std::thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || runtime.block_on(stop.cancelled()))?;
            all.threads.push(thread);
        }
        Ok(all)
    }

    /// Runs a connection on the worker with the fewest.
    pub fn spawn<F>(&self, serve: impl FnOnce(Arc<Worker>, Arc<Tracked>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(worker) = self.workers.iter().min_by_key(|worker| worker.open.load(Ordering::Relaxed))
        else {
            return;
        };
        worker.open.fetch_add(1, Ordering::Relaxed);
        let open = OpenOn(Arc::clone(worker));
        let tracked = Arc::new(Tracked::default());
        let serving = serve(Arc::clone(worker), Arc::clone(&tracked));
        let entry = self.open.add(&tracked);
        // No async block: it would have room for the connection twice, as it is made and as it is awaited.
        let task = AssertUnwindSafe(serving).catch_unwind().map(move |ended| {
            let _entry = entry;
            let worker = &open.0;
            if ended.is_err() {
                worker.metrics.task_panics.with_label_values(&["connection"]).inc();
                tracing::error!("a connection panicked; the process goes on");
            }
        });
        // `drain` waits for it.
        tracked.served_by(self.connections.spawn_on(task, &worker.handle).abort_handle());
    }

    /// Lets connections end as soon as no request runs on them and waits for the last, or until
    /// `grace` is over; then for `last_words`, which gives requests a chance to end by themselves.
    /// Returns how many connections were cut in the middle of something.
    pub async fn drain(&self, grace: Duration, last_words: impl Future<Output = ()>) -> usize {
        for worker in &self.workers {
            worker.engine.http_cleanup().await;
        }
        self.connections.close();
        tokio::select! {
            biased;
            () = self.connections.wait() => return 0,
            () = tokio::time::sleep(grace) => {}
            () = self.cut_idle() => {}
        }
        last_words.await;
        // What was said last is queued on connections of HTTP/2, if not more.
        tokio::time::sleep(BEFORE_RESET).await;
        let left = self.connections.len();
        self.open.cut_all();
        self.connections.wait().await;
        left
    }

    /// Ends connections that stay idle: unused ones, and those of clients that do not answer when
    /// HTTP/2 says goodbye.
    async fn cut_idle(&self) {
        let mut before = self.open.idle();
        loop {
            tokio::time::sleep(IDLE_AT_SHUTDOWN).await;
            let now = self.open.idle();
            for connection in now.iter().filter(|(key, _)| before.contains_key(key)).map(|(_, c)| c) {
                connection.cut();
            }
            before = now;
        }
    }

    /// Ends the threads.
    pub fn stop(self) {
        self.stop.cancel();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

struct OpenOn(Arc<Worker>);

impl Drop for OpenOn {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn engine(edge: Edge, header_bytes: usize, idle: Duration) -> Engine {
    let conf = ServerConf {
        threads: 1,
        max_retries: MAX_ATTEMPTS,
        upstream_keepalive_pool_size: IDLE_UPSTREAM_CONNECTIONS,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(edge.clone(), Arc::new(conf));
    proxy.handle_init_modules();
    let mut options = HttpServerOptions::default();
    // Only streams that begin with the preface get here without ALPN.
    options.h2c = true;
    options.h2_idle_timeout = Some(idle);
    proxy.server_options = Some(options);
    let mut h2 = pingora::protocols::http::v2::server::H2Options::default();
    h2.max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
    h2.max_concurrent_streams(MAX_STREAMS);
    proxy.h2_options = Some(h2);
    Engine::new(edge, proxy)
}
