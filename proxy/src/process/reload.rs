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
                Err(error) => {
                    self.refused([error]);
                    self.renew_certificates();
                }
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
        self.keeps_closed(&config)?;
        let restart = config::needs_restart(&self.started, &config);
        for change in &restart {
            tracing::warn!(%change, "takes effect after a restart");
        }
        self.reload_certificates(&config)
            .into_iter()
            .try_for_each(|read| read)
            .map_err(|error| error.to_string())?;
        plane.prepare(&config).map_err(|error| error.to_string())?;
        let ai = ai.prepare(&config).map_err(|error| error.to_string())?;
        let access_log = config.server.access_log;
        let _whole = self.shared.routing.lock().await;
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

    /// Who may call takes effect at once, other listeners after a restart only: what is safe behind those that the file
    /// names may not be so behind those that are open.
    fn keeps_closed(&self, config: &Config) -> Result<(), String> {
        let exposed = |ai| config::ai::exposed(ai, &self.started.server.listen);
        match config.ai.as_deref().and_then(exposed) {
            Some(open) => Err(format!(
                "ai.auth: lets everybody who reaches {open} spend your money until a restart closes it; restart first, \
                 or say allow_anonymous: true"
            )),
            None => Ok(()),
        }
    }

    /// Certificates are renewed whatever else the file says: they would expire while nobody mends it.
    fn renew_certificates(&self) {
        let read = self.reload_certificates(&self.shared.plane.config());
        for error in read.into_iter().filter_map(Result::err) {
            tracing::error!(%error, "a certificate can't be read again; the one in force stays");
        }
    }

    /// Reads the certificates of each listener, and of the admin API; what can't be read concerns no other.
    fn reload_certificates(&self, config: &Config) -> Vec<Result<(), CertificateError>> {
        let tls_at = |addr: SocketAddr, nth: usize| -> Option<&Tls> {
            config.server.listen.iter().filter(|l| l.addr == addr).filter_map(|l| l.tls.as_ref()).nth(nth)
        };
        let of_listener = |(index, (addr, certificates)): (usize, &(SocketAddr, Arc<Certificates>))| {
            let same_before = self.certificates.iter().take(index).filter(|(other, _)| other == addr).count();
            Some(certificates.reload(tls_at(*addr, same_before)?))
        };
        let of_admin = self.admin_certificates.iter().zip(&config.server.admin.tls);
        let listeners = self.certificates.iter().enumerate().filter_map(of_listener);
        listeners.chain(of_admin.map(|(certificates, tls)| certificates.reload(tls))).collect()
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
