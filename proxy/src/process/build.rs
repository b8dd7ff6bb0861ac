//! Builds a process from a configuration file: reads, claims and binds all that it needs, so that
//! whatever can fail has failed before the first request.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use lockstep_controller::Controller;
use lockstep_controller::store::Store;

use super::observer::Watcher;
use super::{DataDir, Process, Shared, StartError, Writers};
use crate::access_log::AccessLog;
use crate::config::model::Listener;
use crate::config::{self, Config, ConfigErrors};
use crate::front::listener::{BindError, BoundListener};
use crate::metrics::Metrics;
use crate::plane::Plane;
use crate::problems::Problems;
use crate::tee::Tee;
use crate::tee::jsonl::JsonlSink;

/// What has to be bound for a configuration.
struct Bound {
    listeners: Vec<BoundListener>,
    admin: BoundListener,
}

impl Process {
    /// Builds a process; its access log goes to `output`.
    ///
    /// # Errors
    /// Whatever keeps it from serving.
    pub fn build(file: &Path, output: impl Write + Send + 'static) -> Result<Self, StartError> {
        let config = config::load(file).map_err(StartError::Config)?;
        let Bound { listeners, admin } = bind(file, &config).map_err(StartError::Config)?;
        let data_dir = DataDir::claim(&config.server.data_dir)?;
        let metrics = Metrics::new()?;
        let problems = Arc::new(Problems::default());
        let (access_log, log_writer) =
            AccessLog::start(config.server.access_log, Arc::clone(&metrics), output)?;
        let (sink, tee_writer) = JsonlSink::start(data_dir.path())?;
        let tee = Tee::new(Arc::new(sink), Arc::clone(&metrics));
        let plane = Plane::new(config, Arc::clone(&metrics));
        let watcher = Watcher { metrics: Arc::clone(&metrics), problems: Arc::clone(&problems) };
        let (controller, handle) = Controller::new(
            Store::new(data_dir.path()),
            Arc::clone(&plane) as Arc<dyn lockstep_controller::DataPlane>,
            Arc::new(watcher),
        )?;
        let shared = Shared {
            file: file.to_owned(),
            plane,
            controller: handle,
            metrics,
            problems,
            started: jiff::Timestamp::now(),
        };
        let writers = Writers { access_log: log_writer, tee: tee_writer };
        Ok(Self { shared, controller, listeners, admin, access_log, tee, writers, data_dir })
    }
}

/// Binds every listener of a configuration and lets go of it again.
///
/// # Errors
/// All that can't be bound, each with its place.
pub fn try_bind(file: &Path, config: &Config) -> Result<(), ConfigErrors> {
    bind(file, config).map(drop)
}

/// Binds every listener, and reports all that can't be bound, each with its place.
fn bind(file: &Path, config: &Config) -> Result<Bound, ConfigErrors> {
    let mut refused = Vec::new();
    let mut listeners = Vec::new();
    for (index, listener) in config.server.listen.iter().enumerate() {
        match BoundListener::bind(listener) {
            Ok(bound) => listeners.push(bound),
            Err(error) => refused.push((format!("server.listen[{index}].addr"), advice(&error))),
        }
    }
    let admin = &config.server.admin;
    let admin =
        Listener { addr: admin.addr, redirect_https: false, proxy_protocol: false, tls: admin.tls.clone() };
    match BoundListener::bind(&admin) {
        Ok(admin) if refused.is_empty() => return Ok(Bound { listeners, admin }),
        Ok(_) => {}
        Err(error) => refused.push(("server.admin.addr".to_owned(), advice(&error))),
    }
    Err(config::refuse(file, refused))
}

fn advice(error: &BindError) -> String {
    match error {
        BindError::Address { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            format!("{error}; stop what listens there, or choose another port (0 lets the system choose)")
        }
        _ => error.to_string(),
    }
}
