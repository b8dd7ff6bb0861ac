//! The access log: one line per request, written by a thread of its own. A slow terminal or a full
//! disk costs lines, which are counted, never requests. Query strings and credentials are not
//! logged.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Method;
use lockstep_controller::{AppId, VersionId};
use serde_json::json;

use crate::ai::call::serve::Summary;
use crate::config::model::{self, LogFormat};
use crate::metrics::Metrics;
use crate::reason::Reason;
use crate::writer_thread;

/// Lines that may wait for the writer.
const QUEUE: usize = 8192;

/// Where requests leave their lines. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    lines: SyncSender<Entry>,
    settings: Arc<ArcSwap<model::AccessLog>>,
    metrics: Arc<Metrics>,
}

/// The writer thread, to be joined after the last request.
pub struct Writer {
    thread: JoinHandle<()>,
    lines: SyncSender<Entry>,
}

/// What one line says.
#[derive(Debug)]
pub struct Line {
    /// When the request was over.
    pub time: jiff::Timestamp,
    /// Its id.
    pub request_id: Option<String>,
    /// The client.
    pub client: Option<IpAddr>,
    /// Its method.
    pub method: Method,
    /// The host that it asked for.
    pub host: Option<String>,
    /// Its path, without the query.
    pub path: String,
    /// The status of the response.
    pub status: u16,
    /// The app that answered.
    pub app: Option<AppId>,
    /// The version that answered.
    pub version: Option<VersionId>,
    /// Why this version, or why none.
    pub reason: Reason,
    /// The endpoint of the last attempt.
    pub endpoint: Option<SocketAddr>,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// From the head of the request to the end of the response.
    pub took: Duration,
    /// Attempts after the first.
    pub retries: u32,
    /// What is special to calls of the AI gateway.
    pub(crate) ai: Option<Box<Summary>>,
}

enum Entry {
    Line(Box<Line>, LogFormat),
    End,
}

impl AccessLog {
    /// Starts the writer.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        settings: model::AccessLog,
        metrics: Arc<Metrics>,
        output: impl Write + Send + 'static,
    ) -> io::Result<(Self, Writer)> {
        let (lines, queue) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("access-log".to_owned()).spawn({
            let metrics = Arc::clone(&metrics);
            move || write_all(&queue, output, &metrics)
        })?;
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        Ok((Self { lines: lines.clone(), settings, metrics }, Writer { thread, lines }))
    }

    /// Follows a new configuration.
    pub fn reconfigure(&self, settings: model::AccessLog) {
        self.settings.store(Arc::new(settings));
    }

    /// Whether any request may leave a line.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.settings.load().format != LogFormat::Off
    }

    /// Whether a request leaves a line: errors always, others by the sampled share.
    #[must_use]
    pub fn wants(&self, status: u16, refused: bool) -> bool {
        let settings = self.settings.load();
        let share = settings.sample.as_fraction();
        settings.format != LogFormat::Off
            && (refused || status >= 500 || share >= 1.0 || rand::random::<f64>() < share)
    }

    /// Leaves a line, or counts it as dropped when the writer is behind.
    pub fn write(&self, line: Box<Line>) {
        let format = self.settings.load().format;
        if self.lines.try_send(Entry::Line(line, format)).is_err() {
            self.metrics.log_dropped.inc();
        }
    }
}

impl Writer {
    /// Writes what is queued and ends.
    pub fn finish(self) {
        writer_thread::finish("access log", &self.lines, Entry::End, self.thread);
    }
}

impl Line {
    fn json(&self) -> String {
        let mut line = json!({
            "time": self.time,
            "request_id": self.request_id,
            "client": self.client,
            "method": self.method.as_str(),
            "host": self.host,
            "path": self.path,
            "status": self.status,
            "app": self.app.as_ref().map(ToString::to_string),
            "version": self.version.as_ref().map(VersionId::as_str),
            "reason": self.reason.as_str(),
            "endpoint": self.endpoint,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "duration_ms": milliseconds(self.took),
            "retries": self.retries,
        });
        if let (Some(ai), Some(line)) = (&self.ai, line.as_object_mut()) {
            line.insert("ai".to_owned(), ai.json());
        }
        line.to_string()
    }

    fn text(&self) -> String {
        fn or_dash<T: ToString>(value: Option<&T>) -> String {
            value.map_or_else(|| "-".to_owned(), ToString::to_string)
        }
        let ai = self.ai.as_ref().map(|ai| ai.text()).unwrap_or_default();
        format!(
            "{} client={} {} {}{} status={} app={} version={} reason={} endpoint={} in={} out={} ms={:.1} retries={} id={}{ai}",
            self.time,
            or_dash(self.client.as_ref()),
            self.method,
            self.host.as_deref().unwrap_or_default().escape_default(),
            self.path.escape_default(),
            self.status,
            or_dash(self.app.as_ref()),
            or_dash(self.version.as_ref()),
            self.reason,
            or_dash(self.endpoint.as_ref()),
            self.bytes_in,
            self.bytes_out,
            self.took.as_secs_f64() * 1000.0,
            self.retries,
            self.request_id.as_deref().unwrap_or("-").escape_default(),
        )
    }
}

/// Milliseconds in steps of a microsecond.
fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}

fn write_all(queue: &Receiver<Entry>, output: impl Write, metrics: &Metrics) {
    let mut output = io::BufWriter::new(output);
    let mut failing = false;
    while let Ok(first) = queue.recv() {
        // Whatever is queued goes out in one write; nothing waits for more.
        let mut lines = 0;
        let mut written = Ok(());
        for entry in std::iter::once(first).chain(std::iter::from_fn(|| queue.try_recv().ok())) {
            lines += 1;
            written = written.and(match entry {
                Entry::Line(line, LogFormat::Text) => writeln!(output, "{}", line.text()),
                Entry::Line(line, _) => writeln!(output, "{}", line.json()),
                Entry::End => {
                    // Nobody is left to be told.
                    let _flushed = output.flush();
                    return;
                }
            });
        }
        match written.and_then(|()| output.flush()) {
            Ok(()) => failing = false,
            Err(error) => {
                metrics.log_dropped.inc_by(lines);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "the access log can't be written");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Box<Line> {
        Box::new(Line {
            time: "2026-11-23T17:00:00Z".parse().unwrap(),
            request_id: Some("id".to_owned()),
            client: Some([192, 0, 2, 1].into()),
            method: Method::GET,
            host: Some("shop.example.com".to_owned()),
            path: "/a\nb".to_owned(),
            status: 200,
            app: Some(AppId::new("", "shop").unwrap()),
            version: Some("v1".parse().unwrap()),
            reason: Reason::Cookie,
            endpoint: Some(([127, 0, 0, 1], 9001).into()),
            bytes_in: 0,
            bytes_out: 5,
            took: Duration::from_micros(1500),
            retries: 0,
            ai: None,
        })
    }

    #[test]
    fn days_are_told_to_the_microsecond() {
        for (took, told) in
            [(1, 0.001), (1_500, 1.5), (4_294_967_296, 4_294_967.296), (90_000_000_001, 90_000_000.001)]
        {
            assert_eq!(milliseconds(Duration::from_micros(took)).to_string(), told.to_string());
        }
    }

    #[test]
    fn both_formats_stay_on_one_line() {
        let json: serde_json::Value = serde_json::from_str(&line().json()).unwrap();
        assert_eq!((&json["version"], &json["duration_ms"]), (&json!("v1"), &json!(1.5)));
        assert!(!line().json().contains('\n'));
        assert!(!line().text().contains('\n'));
        assert!(line().text().contains("reason=cookie endpoint=127.0.0.1:9001"));
    }

    #[test]
    fn errors_are_logged_whatever_the_sample() {
        let settings = model::AccessLog { format: LogFormat::Json, sample: "0%".parse().unwrap() };
        let (log, writer) = AccessLog::start(settings, Metrics::new().unwrap(), io::sink()).unwrap();
        assert!(!log.wants(200, false));
        assert!(log.wants(503, false));
        assert!(log.wants(404, true));
        log.reconfigure(model::AccessLog { format: LogFormat::Off, sample: "100%".parse().unwrap() });
        assert!(!log.wants(503, true));
        writer.finish();
    }
}
