//! Takes a changed configuration over, or keeps the running one and says why.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Shared;
use super::contents::Contents;
use super::start::routed;
use crate::access_log::AccessLog;
use crate::config::model::Tls;
use crate::config::{self, Config};
use crate::front::BoundListener;
use crate::problems::Source;
use crate::tls::{CertificateError, Certificates};

/// Takes changed configurations over.
pub(super) struct Reloader {
    shared: Shared,
    /// The configuration that the process started with: what needs a restart is still as it says.
    started: Arc<Config>,
    access_log: AccessLog,
    /// The certificates of the TLS listeners, by configured address, and of the admin API.
    certificates: Vec<(SocketAddr, Arc<Certificates>)>,
    admin_certificates: Option<Arc<Certificates>>,
}

impl Reloader {
    pub(super) fn new(
        shared: Shared,
        access_log: AccessLog,
        listeners: &[BoundListener],
        admin: &BoundListener,
    ) -> Self {
        let certificates =
            |listener: &BoundListener| listener.kind.tls.as_ref().map(|tls| Arc::clone(&tls.certificates));
        let configured = shared.plane.config();
        Self {
            certificates: configured
                .server
                .listen
                .iter()
                .zip(listeners)
                .filter_map(|(configured, bound)| Some((configured.addr, certificates(bound)?)))
                .collect(),
            admin_certificates: certificates(admin),
            started: configured,
            shared,
            access_log,
        }
    }

    /// Reads the file again, and takes over what it says if it can be used. Returns the contents
    /// that it was read from.
    pub(super) async fn reload(&self, known: Contents) -> Contents {
        let file = self.shared.file.clone();
        let kept = known.clone();
        let reading = tokio::task::spawn_blocking(move || known.load_again(|| config::load(&file)));
        let Ok((contents, loaded)) = reading.await else {
            self.refused(["reading the configuration panicked".to_owned()]);
            return kept;
        };
        match loaded {
            Ok(config) => match self.take_over(config).await {
                Ok(()) => self.succeeded(),
                Err(error) => self.refused([error]),
            },
            Err(errors) => {
                self.refused(errors.iter().map(ToString::to_string));
                self.renew_certificates();
            }
        }
        contents
    }

    async fn take_over(&self, config: Config) -> Result<(), String> {
        let Shared { plane, controller, problems, ai, .. } = &self.shared;
        let restart = config::needs_restart(&self.started, &config);
        for change in &restart {
            tracing::warn!(%change, "takes effect after a restart");
        }
        self.reload_certificates(&config).map_err(|error| error.to_string())?;
        plane.prepare(&config).map_err(|error| error.to_string())?;
        let ai = ai.prepare(&config).map_err(|error| error.to_string())?;
        let access_log = config.server.access_log;
        let snapshot = controller.apply(config.app_specs()).await.map_err(|error| error.to_string())?;
        plane.reconfigure(config, &snapshot).map_err(|error| error.to_string())?;
        routed(&self.shared, Ok(()));
        if let Some(cluster) = &self.shared.cluster {
            cluster.settings_changed();
        }
        self.shared.ai.reconfigure(ai);
        self.access_log.reconfigure(access_log);
        problems.report(Source::Restart, restart.iter().map(|change| format!("{change}: needs a restart")));
        Ok(())
    }

    /// Certificates are renewed whatever else the file says: they would expire while nobody mends it.
    fn renew_certificates(&self) {
        if let Err(error) = self.reload_certificates(&self.shared.plane.config()) {
            tracing::error!(%error, "certificates can't be read again; those in force stay");
        }
    }

    fn reload_certificates(&self, config: &Config) -> Result<(), CertificateError> {
        let tls_at = |addr: SocketAddr, nth: usize| -> Option<&Tls> {
            config.server.listen.iter().filter(|l| l.addr == addr).filter_map(|l| l.tls.as_ref()).nth(nth)
        };
        for (index, (addr, certificates)) in self.certificates.iter().enumerate() {
            let same_before = self.certificates.iter().take(index).filter(|(other, _)| other == addr).count();
            if let Some(tls) = tls_at(*addr, same_before) {
                certificates.reload(tls)?;
            }
        }
        if let (Some(certificates), Some(tls)) = (&self.admin_certificates, &config.server.admin.tls) {
            certificates.reload(tls)?;
        }
        Ok(())
    }

    fn succeeded(&self) {
        let Shared { metrics, problems, file, .. } = &self.shared;
        metrics.config_reloads.with_label_values(&["success"]).inc();
        metrics.config_stale.set(0);
        problems.report(Source::Config, []);
        tracing::info!(file = %file.display(), "configuration reloaded");
    }

    fn refused(&self, errors: impl IntoIterator<Item = String>) {
        let Shared { metrics, problems, .. } = &self.shared;
        let errors: Vec<_> = errors.into_iter().collect();
        metrics.config_reloads.with_label_values(&["error"]).inc();
        metrics.config_stale.set(1);
        for error in &errors {
            tracing::error!(%error, "configuration refused; the running one stays");
        }
        problems.report(Source::Config, errors);
    }
}
