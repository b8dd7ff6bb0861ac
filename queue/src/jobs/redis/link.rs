//! The connection for commands: one, which all callers share, to the server that is the primary. When it is lost, the
//! next caller looks for the primary again and waits a little longer each time; commands that are safe to do twice
//! are done again.

use std::time::Duration;

use parking_lot::Mutex;
use rand::RngExt as _;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::failure::Failure;
use super::keys::Prefix;
use super::options::{NotReplicated, RedisOptions, WaitReplicas};
use super::script::{Call, Replication};
use crate::jobs::error::StorageError;

/// The layout of keys and values that this release writes and reads.
const SCHEMA: u32 = 1;
/// How long to wait after the first failure; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest wait between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long replicas are waited for where it can go on without them, and how long they are then left alone.
const MOMENT: Duration = Duration::from_millis(100);
const REPLICAS_AGAIN: Duration = Duration::from_secs(5);
/// What a refused address should have been.
const READ_ADDRESS: &str =
    "read its address: redis://[user:password@]host[:port][/db], or rediss:// with the feature `redis-tls`";

/// Does commands.
#[derive(Debug)]
pub(super) struct Link {
    clients: Vec<Client>,
    config: AsyncConnectionConfig,
    schema_key: String,
    options: RedisOptions,
    current: Mutex<Current>,
    /// When replicas could not be reached last.
    without_replicas: Mutex<Option<Instant>>,
    /// Held by the one who connects.
    connecting: tokio::sync::Mutex<()>,
    /// Which server the last connection leads to: the primary. Changes with each connection: behind one address, too,
    /// another one may lead to another server.
    primary: watch::Sender<usize>,
    closed: watch::Sender<bool>,
}

/// The connection, if there is one, and how many there were.
#[derive(Default)]
struct Current {
    number: u64,
    connection: Option<MultiplexedConnection>,
}

/// A connection, and how many there were with it.
type Numbered = (u64, MultiplexedConnection);

/// How long to wait before trying again.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Link {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`StorageError::Refused`] if an address makes no sense.
    pub(super) fn new(options: RedisOptions, prefix: &Prefix) -> Result<Self, StorageError> {
        let clients: Result<Vec<_>, _> = options.urls.iter().map(|url| client(url, &options)).collect();
        let clients = clients.map_err(|error| Failure::Refused(error).of(READ_ADDRESS))?;
        let longest_wait = options.wait_replicas.map_or(Duration::ZERO, |wait| wait.timeout);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(options.timeout))
            .set_response_timeout(Some(options.timeout + longest_wait));
        Ok(Self {
            clients,
            config,
            schema_key: prefix.schema(),
            options,
            current: Mutex::default(),
            without_replicas: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            primary: watch::Sender::default(),
            closed: watch::Sender::new(false),
        })
    }

    /// Does a step. One that is safe to repeat is repeated when its answer was lost.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] when patience ends, and what the server says.
    pub(super) async fn call(&self, call: Call) -> Result<Value, StorageError> {
        self.call_until(Instant::now() + self.options.patience, call).await
    }

    /// Does a step, with patience for what has come by a time.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(super) async fn call_until(&self, deadline: Instant, mut call: Call) -> Result<Value, StorageError> {
        let mut backoff = Backoff::new();
        loop {
            let failure = match self.or_closed(self.try_once(&call)).await? {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let pause = backoff.next();
            if !failure.may_repeat(call.script.is_repeatable) || Instant::now() + pause > deadline {
                return Err(failure.of(call.script.action));
            }
            if matches!(failure, Failure::Lost(_)) {
                call.again();
            }
            self.or_closed(sleep(pause)).await?;
        }
    }

    /// Does a plain command, which must be safe to repeat.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(super) async fn command(&self, action: &'static str, command: &Cmd) -> Result<Value, StorageError> {
        let deadline = Instant::now() + self.options.patience;
        let mut backoff = Backoff::new();
        loop {
            let failure = match self.or_closed(self.send(command)).await? {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let pause = backoff.next();
            if !failure.may_repeat(true) || Instant::now() + pause > deadline {
                return Err(failure.of(action));
            }
            self.or_closed(sleep(pause)).await?;
        }
    }

    /// How many connections there were: what was noted on an earlier one may be lost.
    pub(super) fn epoch(&self) -> u64 {
        self.current.lock().number
    }

    /// Whether changes wait for replicas.
    pub(super) const fn waits_for_replicas(&self) -> bool {
        self.options.wait_replicas.is_some()
    }

    /// How long to wait for a connection.
    pub(super) const fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Another connection to the primary, for listening, and what changes when there is another connection for commands:
    /// then what is told may be told elsewhere.
    pub(super) async fn listen(&self) -> Result<(PubSub, watch::Receiver<usize>), Failure> {
        // One that was lost is noticed now.
        self.send(&redis::cmd("PING")).await?;
        let mut primary = self.primary.subscribe();
        let place = *primary.borrow_and_update();
        let client = self.clients.get(place).ok_or_else(no_primary)?;
        match timeout(self.options.timeout, client.get_async_pubsub()).await {
            Ok(listening) => Ok((listening.map_err(Failure::NoServer)?, primary)),
            Err(_) => Err(no_primary()),
        }
    }

    /// Whether it was closed.
    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Gives the connection up and ends all calls with [`StorageError::Closed`].
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
        self.current.lock().connection = None;
    }

    /// Waits for something, and no longer when this is closed.
    pub(super) async fn or_closed<T>(&self, future: impl Future<Output = T>) -> Result<T, StorageError> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|closed| *closed) => Err(StorageError::Closed),
            result = future => Ok(result),
        }
    }

    async fn try_once(&self, call: &Call) -> Result<Value, Failure> {
        // All of it goes over one connection. Another one may lead to another server, whose replicas know nothing of
        // what was changed here.
        let mut over = self.connection().await?;
        let answer = match self.send_over(&mut over, &call.by_hash()).await {
            Err(Failure::Refused(error)) if Failure::is_unknown_script(&error) => {
                self.send_over(&mut over, &call.by_code()).await?
            }
            answer => answer?,
        };
        if let Some(wait) = self.options.wait_replicas.filter(|_| call.replication != Replication::Unneeded) {
            if call.replication == Replication::Tried {
                self.try_replicas(&mut over, wait).await?;
            } else {
                self.wait_replicas(&mut over, wait).await?;
            }
        }
        Ok(answer)
    }

    /// Waits a moment until replicas have all that was written, unless they could not be reached just now: a server that
    /// waits for them does nothing else on this connection.
    async fn try_replicas(&self, over: &mut Numbered, wait: WaitReplicas) -> Result<(), Failure> {
        if self.without_replicas.lock().is_some_and(|since| since.elapsed() < REPLICAS_AGAIN) {
            return Ok(());
        }
        match self.wait_replicas(over, WaitReplicas { timeout: wait.timeout.min(MOMENT), ..wait }).await {
            Err(Failure::NotReplicated(_)) => *self.without_replicas.lock() = Some(Instant::now()),
            waited => waited?,
        }
        Ok(())
    }

    /// Waits until replicas have all that was written over a connection. Every change writes something, even one that finds that it was
    /// done before; and what was written before it is replicated before it.
    async fn wait_replicas(&self, over: &mut Numbered, wait: WaitReplicas) -> Result<(), Failure> {
        let millis = u64::try_from(wait.timeout.as_millis()).unwrap_or(u64::MAX);
        // A timeout of 0 would wait for ever.
        let answer = self.send_over(over, redis::cmd("WAIT").arg(wait.count).arg(millis.max(1))).await?;
        let reached: u32 = redis::from_redis_value(answer).map_err(RedisError::from)?;
        if reached >= wait.count {
            return Ok(());
        }
        Err(Failure::NotReplicated(NotReplicated { wanted: wait.count, reached }))
    }

    async fn send(&self, command: &Cmd) -> Result<Value, Failure> {
        self.send_over(&mut self.connection().await?, command).await
    }

    async fn send_over(&self, (number, connection): &mut Numbered, command: &Cmd) -> Result<Value, Failure> {
        let answer = command.query_async(connection).await.map_err(Failure::from);
        if answer.as_ref().is_err_and(Failure::ends_connection) {
            let mut current = self.current.lock();
            if current.number == *number {
                current.connection = None;
            }
        }
        answer
    }

    async fn connection(&self) -> Result<Numbered, Failure> {
        if let Some(connection) = self.current.lock().get() {
            return Ok(connection);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.current.lock().get() {
            return Ok(connection);
        }
        let (place, connection) = self.find_primary().await?;
        let mut current = self.current.lock();
        if self.is_closed() {
            return Err(Failure::Final(StorageError::Closed));
        }
        current.number += 1;
        current.connection = Some(connection.clone());
        self.primary.send_replace(place);
        Ok((current.number, connection))
    }

    /// Asks all servers in turn.
    async fn find_primary(&self) -> Result<(usize, MultiplexedConnection), Failure> {
        let mut last = no_primary();
        for (place, client) in self.clients.iter().enumerate() {
            match self.connect(client).await {
                Ok(connection) => return Ok((place, connection)),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    async fn connect(&self, client: &Client) -> Result<MultiplexedConnection, Failure> {
        let connecting = client.get_multiplexed_async_connection_with_config(&self.config).await;
        let mut connection = connecting.map_err(|error| match Failure::from(error) {
            Failure::Lost(error) => Failure::NoServer(error),
            failure => failure,
        })?;
        let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
        if !matches!(role.first(), Some(Value::BulkString(role)) if role == b"master") {
            return Err(no_primary());
        }
        check_schema(&mut connection, &self.schema_key).await?;
        warn_of_eviction(&mut connection).await;
        Ok(connection)
    }
}

impl Current {
    fn get(&self) -> Option<Numbered> {
        self.connection.clone().map(|connection| (self.number, connection))
    }
}

impl Backoff {
    pub(super) const fn new() -> Self {
        Self(FIRST_PAUSE)
    }

    /// How long to wait now: between half and all of a time that doubles.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        pause
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Current").field("number", &self.number).finish_non_exhaustive()
    }
}

fn client(url: &str, options: &RedisOptions) -> Result<Client, RedisError> {
    #[cfg(feature = "redis-tls")]
    if url.starts_with("rediss:") {
        return Client::build_with_tls(url, options.tls.certificates());
    }
    let _ = options;
    Client::open(url)
}

/// Reads which layout the server has, and notes ours if it has none. One that is out of memory can still be read.
async fn check_schema(connection: &mut MultiplexedConnection, key: &str) -> Result<(), Failure> {
    let get = redis::cmd("GET").arg(key).to_owned();
    let mut noted: Option<Vec<u8>> = get.query_async(connection).await?;
    if noted.is_none() {
        let () = redis::cmd("SET").arg(key).arg(SCHEMA).arg("NX").query_async(connection).await?;
        noted = get.query_async(connection).await?;
    }
    let noted = noted.unwrap_or_default();
    let found = std::str::from_utf8(&noted).ok().and_then(|noted| noted.parse::<u32>().ok());
    match found {
        Some(found) if found <= SCHEMA => Ok(()),
        Some(found) => Err(Failure::Final(StorageError::NewerSchema { found, known: SCHEMA })),
        None => Err(Failure::Final(StorageError::Corrupt { what: format!("key {key:?}") })),
    }
}

/// A server that throws keys away when its memory is full throws jobs away.
async fn warn_of_eviction(connection: &mut MultiplexedConnection) {
    let info: Result<String, _> = redis::cmd("INFO").arg("memory").query_async(connection).await;
    let policy = info
        .as_ref()
        .ok()
        .and_then(|info| info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")));
    if let Some(policy) = policy.filter(|policy| *policy != "noeviction") {
        tracing::warn!(
            policy,
            "this Redis server may evict jobs when its memory is full; set maxmemory-policy noeviction"
        );
    }
}

fn no_primary() -> Failure {
    Failure::NoServer(RedisError::from((ErrorKind::Io, "none of the servers that answer is a primary")))
}

/// No connection for listening came about in time.
pub(super) fn not_listening() -> StorageError {
    no_primary().of("listen to events")
}
