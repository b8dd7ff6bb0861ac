//! What follows from a configuration.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use lockstep_controller::{AppSpec, Policy, VersionSpec};

use super::model::{App, Config, Preview, Server, StaticVersion};
use super::secret::{Secret, Source};

impl Config {
    /// The files that it depends on, besides its own: certificates, keys, authorities, secrets.
    #[must_use]
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let admin = &self.server.admin;
        let listeners = self.server.listen.iter().map(|listener| &listener.tls);
        let certificates = listeners
            .chain([&admin.tls])
            .flatten()
            .flat_map(|tls| &tls.certificates)
            .flat_map(|files| [&files.cert, &files.key]);
        let providers = self.ai.iter().flat_map(|ai| &ai.providers);
        let authorities = self.every_app().filter_map(|app| Some(&app.upstream.ca.as_ref()?.path));
        let authorities = authorities.chain(providers.filter_map(|provider| provider.ca.as_ref()));
        let secrets = self.secrets().filter_map(|secret| match secret.source() {
            Source::File(path) => Some(path),
            Source::Env(_) | Source::Value => None,
        });
        certificates.chain(authorities).chain(secrets).cloned().collect()
    }

    /// The apps as the controller sees them.
    #[must_use]
    pub fn app_specs(&self) -> Vec<AppSpec> {
        self.apps.iter().map(|app| app.spec()).collect()
    }

    /// Apps of the file, those included of which it only says settings.
    pub(crate) fn every_app(&self) -> impl Iterator<Item = &App> {
        let of_cluster = self.cluster_apps.entries.values().map(|entry| &entry.app);
        self.apps.iter().map(Arc::as_ref).chain(of_cluster)
    }

    fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let admin = &self.server.admin;
        let previews = self.every_app().filter_map(|app| match &app.skew.preview {
            Preview::Token(secret) => Some(secret),
            Preview::Closed | Preview::Open => None,
        });
        let providers = self.ai.iter().flat_map(|ai| &ai.providers);
        let keys = providers.filter_map(|provider| provider.api_key.as_ref());
        admin.tokens.iter().map(|token| &token.token).chain(&admin.metrics_token).chain(previews).chain(keys)
    }
}

impl Server {
    /// Whether what a peer says of its client is believed.
    #[must_use]
    pub fn trusts(&self, peer: IpAddr) -> bool {
        // A socket that listens on `::` shows peers of IPv4 as `::ffff:a.b.c.d`.
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}

impl App {
    fn spec(&self) -> AppSpec {
        AppSpec {
            id: self.id.clone(),
            versions: (1..).zip(&self.versions).map(|(place, version)| version.spec(place)).collect(),
            active: self.active.clone(),
            canary: self.canary.clone(),
            health_checked: self.health.is_some(),
            // Nobody is asked about versions of the file.
            policy: Policy { webhook: None, ..self.policy.clone() },
        }
    }
}

impl StaticVersion {
    fn spec(&self, revision: u64) -> VersionSpec {
        VersionSpec { id: self.id.clone(), revision, endpoints: self.endpoints.as_slice().into() }
    }
}
