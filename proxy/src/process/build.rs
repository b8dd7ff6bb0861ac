//! Builds a process from a configuration file: reads, claims and binds all that it needs, so that
//! whatever can fail has failed before the first request.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use lockstep_controller::Controller;
use lockstep_controller::cluster::Cluster;
use lockstep_controller::cluster::kept::Kept;
use lockstep_controller::controller::Observer;
use lockstep_controller::store::Store;

use super::audit::Recorder;
use super::contents::Contents;
use super::observer::Watcher;
use super::{DataDir, Process, Shared, StartError};
use crate::access_log::AccessLog;
use crate::ai::gateway::Gateway;
use crate::ai::ledger::Ledger;
use crate::audit::ship;
use crate::background::{Background, Work};
use crate::cluster::{ClusterSettings, scopes};
use crate::config::audit::model::Sink;
use crate::config::model::Listener;
use crate::config::{self, Config, ConfigErrors};
use crate::front::listener::{self, BindError, BoundListener};
use crate::metrics::Metrics;
use crate::plane::Plane;
use crate::problems::Problems;

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
        let (contents, loaded) = Contents::load(file, || load_for_start(file));
        let config = loaded.map_err(StartError::Config)?;
        let Bound { listeners, admin } = bind(file, &config).map_err(StartError::Config)?;
        raise_file_limit();
        let data_dir = DataDir::claim(&config.server.data_dir).map_err(|error| match error {
            StartError::DataDir { .. } => {
                let mistake = ("server.data_dir".to_owned(), format!("{error}: it must be writable"));
                StartError::Config(config::refuse(file, vec![mistake]))
            }
            error => error,
        })?;
        let metrics = Metrics::new()?;
        let problems = Arc::new(Problems::default());
        let (access_log, log_writer) =
            AccessLog::start(config.server.access_log, Arc::clone(&metrics), output)?;
        let Recorder { tee, ledger, opened: audit } =
            Recorder::open(&config.audit, data_dir.path(), &metrics)?;
        let background = background(&config, data_dir.path(), &metrics)?;
        let ai = gateway(&config, ledger, &metrics)?;
        let plane = Plane::new(config, Arc::clone(&metrics));
        let observer: Arc<dyn Observer> = Arc::new(Watcher {
            metrics: Arc::clone(&metrics),
            problems: Arc::clone(&problems),
            audit: audit.as_ref().map(|opened| opened.audit.clone()),
        });
        let (controller, handle) = Controller::new(
            Store::new(data_dir.path()),
            Arc::clone(&plane) as Arc<dyn lockstep_controller::DataPlane>,
            Arc::clone(&observer),
        )?;
        let cluster = cluster(&plane, data_dir.path())?;
        let shared = Shared {
            file: file.to_owned(),
            plane,
            controller: handle,
            routing: Arc::default(),
            cluster,
            lead: Arc::default(),
            ai,
            audit: Arc::default(),
            background,
            metrics,
            problems,
            started: jiff::Timestamp::now(),
        };
        Ok(Self {
            shared,
            controller,
            observer,
            listeners,
            admin,
            access_log,
            tee,
            audit,
            log_writer,
            contents,
            data_dir,
        })
    }
}

/// The jobs that a configuration asks for.
fn background(
    config: &Config,
    data_dir: &Path,
    metrics: &Arc<Metrics>,
) -> Result<Option<Background>, StartError> {
    let (Some(_), Sink::Dir { path, keep: Some(keep) }) = (config.audit.durability, &config.audit.sink)
    else {
        return Ok(None);
    };
    let work = Work { expiry: (ship::directory(path.as_deref(), data_dir), *keep) };
    Ok(Some(Background::open(work, data_dir, metrics)?))
}

/// The apps of Kubernetes, if it is to be asked.
fn cluster(plane: &Arc<Plane>, data_dir: &Path) -> Result<Option<Cluster>, StartError> {
    let config = plane.config();
    if !config.kubernetes.enabled {
        return Ok(None);
    }
    let settings = Arc::new(ClusterSettings::of(plane));
    Ok(Some(Cluster::new(scopes(&config.kubernetes), settings, Kept::new(data_dir))?))
}

/// The AI gateway, with what the configuration says of it.
fn gateway(
    config: &Config,
    ledger: Arc<dyn Ledger>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Gateway>, StartError> {
    let gateway = Gateway::new(ledger, Arc::clone(metrics));
    gateway.reconfigure(gateway.prepare(config)?);
    Ok(gateway)
}

/// Every connection needs a file descriptor, and the usual soft limit of 1024 is for programs that
/// use select(2).
fn raise_file_limit() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "the limit of file descriptors can't be raised"),
    }
}

/// Reads and checks a configuration as a start would, its ports included.
///
/// # Errors
/// All that is wrong, each with its place.
pub fn load_for_start(file: &Path) -> Result<Config, ConfigErrors> {
    config::load_with_ports(file, &|addr| {
        let bound = listener::bind(addr).map(drop);
        bound.map_err(|source| advice(&BindError::Address { addr, source }))
    })
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
