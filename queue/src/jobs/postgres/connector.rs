//! Connections: a pool for the calls, and single ones.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PostgresOptions;
use super::error::from_client;
use crate::jobs::error::StorageError;

/// How long a connection may take to come about, unless the address says otherwise.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection may be silent before it is tested, and how long a test may take.
const SILENT: Duration = Duration::from_secs(30);
/// How long a call waits for a connection while others have them all.
const TURN: Duration = Duration::from_secs(30);

/// Steps find their rows by an index in every state of the tables, and the planner must not think otherwise
/// because it saw them empty. The functions rely on READ COMMITTED.
const SETTINGS: &str = "-c default_transaction_isolation=read\\ committed -c plan_cache_mode=force_generic_plan \
    -c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off \
    -c enable_sort=off -c jit=off";

/// Knows how to reach the server.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

/// What a connection hears, until it ends.
pub(super) type Messages = BoxStream<'static, Result<AsyncMessage, Error>>;

impl Connector {
    pub(super) fn new(url: &str, options: &PostgresOptions) -> Result<Self, StorageError> {
        let mut config: Config = url.parse().map_err(|error| from_client(error, "read the address"))?;
        let given = config.get_options().unwrap_or_default().to_owned();
        config.options(format!("{SETTINGS} {given}"));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENT).keepalives_idle(SILENT).keepalives_interval(SILENT / 3);
        }
        if config.get_application_name().is_none() {
            config.application_name("lockstep-queue");
        }
        Ok(Self { config, tls: options.tls.clone().map(MakeRustlsConnect::new) })
    }

    /// Makes the pool; it connects when it is used.
    pub(super) fn pool(&self, connections: usize) -> Result<Pool, StorageError> {
        let manager = match &self.tls {
            None => self.manager(NoTls),
            Some(tls) => self.manager(tls.clone()),
        };
        let pool = Pool::builder(manager)
            .max_size(connections.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(TURN))
            .create_timeout(Some(self.longest_connect()))
            .build();
        pool.map_err(|error| StorageError::Refused {
            action: "make the pool",
            source: std::sync::Arc::new(error),
        })
    }

    /// How long a connection may take in all: hosts are tried in turn, and the one that is there has its time to let us
    /// in.
    pub(super) fn longest_connect(&self) -> Duration {
        let hosts = u32::try_from(self.config.get_hosts().len()).unwrap_or(u32::MAX).max(1);
        let each = self.config.get_connect_timeout().copied().unwrap_or(CONNECT);
        each.saturating_mul(hosts).saturating_add(CONNECT)
    }

    /// Makes a connection outside the pool. Whoever has it must take its messages, or nothing happens.
    pub(super) async fn connect(&self) -> Result<(Client, Messages), Error> {
        match &self.tls {
            None => self.connect_with(NoTls).await,
            Some(tls) => self.connect_with(tls.clone()).await,
        }
    }

    async fn connect_with<T>(&self, tls: T) -> Result<(Client, Messages), Error>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let (client, mut connection) = self.config.connect(tls).await?;
        Ok((client, stream::poll_fn(move |context| connection.poll_message(context)).boxed()))
    }

    fn manager<T>(&self, tls: T) -> Manager
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Manager::from_config(self.config.clone(), tls, config)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connector").field("config", &self.config).finish_non_exhaustive()
    }
}
