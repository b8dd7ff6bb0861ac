//! A replica within the process of the test.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use lockstep_controller::cluster::lead::{Identity, Lead, LeadHandle, LeaseTimes, Times};
use lockstep_controller::cluster::{ClusterState, Options};
use lockstep_controller::controller::Observer;
use lockstep_controller::record::Transition;
use lockstep_controller::store::StoreError;
use lockstep_controller::view::AppView;
use lockstep_controller::{AppId, Command, CommandError, DataPlane, Traffic, VersionId, VersionState};
use lockstep_tests::kube::Cluster;
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::feed;

/// How long tasks may take to notice that they are to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// A replica.
pub struct Replica {
    pub handle: LeadHandle,
    pub plane: Arc<Plane>,
    seen: Arc<Seen>,
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    leads: JoinHandle<()>,
}

/// What a data plane would say.
pub struct Plane {
    cluster: watch::Receiver<Arc<ClusterState>>,
    in_flight: Mutex<HashMap<String, u64>>,
}

#[derive(Default)]
struct Seen(Mutex<Vec<String>>);

impl Replica {
    pub fn start(cluster: &Cluster, name: &str) -> Self {
        let _set_before = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).try_init();
        let runtime = Runtime::new().expect("a runtime");
        let file = cluster.kubeconfig();
        let client = runtime.block_on(async {
            let file = Kubeconfig::read_from(file).expect("a kubeconfig");
            let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
            kube::Client::try_from(config.expect("a configuration")).expect("a client")
        });
        let (sender, states) = watch::channel(Arc::default());
        let plane = Arc::new(Plane { cluster: states.clone(), in_flight: Mutex::default() });
        let seen = Arc::new(Seen::default());
        let identity = Identity {
            name: name.to_owned(),
            namespace: "web".to_owned(),
            pod_uid: None,
            process: "1".to_owned(),
        };
        let second = Duration::from_secs(1);
        let times = Times { heartbeat: second, lease: LeaseTimes { duration: second * 3, renew: second } };
        let options = Options {
            app: "app.kubernetes.io/name".to_owned(),
            version: "plt.dev/version".to_owned(),
            mint_ids: false,
            adopt: true,
        };
        let (lead, handle) = Lead::new(
            client.clone(),
            options,
            states,
            Arc::clone(&plane) as Arc<dyn DataPlane>,
            Arc::clone(&seen) as Arc<dyn Observer>,
            identity,
            times,
        );
        runtime.spawn(feed::run(client, sender));
        let (stop, stopped) = oneshot::channel::<()>();
        let leads = runtime.spawn(lead.run(async { drop(stopped.await) }));
        Self { handle, plane, seen, runtime, stop, leads }
    }

    pub fn command(&self, version: &str, command: Command) -> Result<AppView, CommandError> {
        self.runtime.block_on(self.handle.command("shop", version, command, "somebody"))
    }

    /// Transitions that it told of: `v1 active`.
    pub fn seen(&self) -> Vec<String> {
        self.seen.0.lock().clone()
    }

    /// Ends it without a word, and gives back what it told until then.
    pub fn kill(self) -> Vec<String> {
        let Self { seen, runtime, .. } = self;
        runtime.shutdown_timeout(PATIENCE);
        seen.0.lock().clone()
    }

    /// Ends it in good order.
    pub fn stop(self) {
        self.stop.send(()).expect("it runs");
        self.runtime.block_on(self.leads).expect("it ends");
        self.runtime.shutdown_background();
    }
}

impl Plane {
    pub fn set_in_flight(&self, version: &str, count: u64) {
        self.in_flight.lock().insert(version.to_owned(), count);
    }
}

impl DataPlane for Plane {
    fn routed_generation(&self) -> u64 {
        0
    }

    fn routed(&self, app: &AppId, version: &VersionId) -> Option<usize> {
        let cluster = Arc::clone(&self.cluster.borrow());
        let record = cluster.resources.get(app)?.record();
        let found = cluster.found.apps.get(app);
        let found = found.and_then(|found| found.versions.iter().find(|found| found.id == *version));
        let endpoints = found.map_or(0, |version| version.endpoints.len());
        match record.version(version)?.state {
            VersionState::Active | VersionState::Draining => Some(endpoints),
            VersionState::Pending => Some(endpoints).filter(|count| *count > 0),
            _ => None,
        }
    }

    fn reached(&self, app: &AppId, version: &VersionId) -> Option<usize> {
        self.routed(app, version)
    }

    fn ready_endpoints(&self, _: &AppId, _: &VersionId) -> usize {
        usize::MAX
    }

    fn traffic(&self, _: &AppId, version: &VersionId) -> Option<Traffic> {
        let in_flight = self.in_flight.lock().get(version.as_str()).copied().unwrap_or(0);
        Some(Traffic { in_flight, idle_for: if in_flight > 0 { Duration::ZERO } else { Duration::MAX } })
    }
}

impl Observer for Seen {
    fn transitioned(&self, _: &AppId, transition: &Transition) {
        self.0.lock().push(format!("{} {}", transition.version, transition.to));
    }
    fn template_changed(&self, _: &AppId) {}
    fn not_kept(&self, _: &StoreError) {}
    fn kept(&self) {}
}
