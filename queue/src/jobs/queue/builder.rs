//! How a queue is set up.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::waiters::Waiters;
use super::{Core, Queue};
use crate::jobs::codec::{Codec, Json};
use crate::jobs::error::StorageError;
use crate::jobs::job::{JobOptions, MAX_PAYLOAD};
use crate::jobs::name::{NameError, QueueName};
use crate::jobs::observe::{NoObserver, Observe};
use crate::jobs::storage::Storage;

/// Sets up a [`Queue`].
#[derive(Debug)]
#[must_use = "nothing is built before `build`"]
pub struct QueueBuilder<P, O, C = Json> {
    storage: Arc<dyn Storage>,
    name: String,
    namespace: Option<String>,
    codec: C,
    observe: Arc<dyn Observe>,
    defaults: JobOptions,
    max_payload: usize,
    types: PhantomData<fn(P) -> O>,
}

/// Options that make no sense: all of them at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct BuildError {
    /// What is wrong with each.
    pub problems: Vec<String>,
}

/// A queue that is only looked at can't be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// Its options make no sense.
    #[error(transparent)]
    Options(#[from] BuildError),
    /// The storage can't say which queues there are.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The storage holds no job and no setting under that name.
    #[error("no queue {name:?} in this storage; it has {}", listed(known))]
    Unknown {
        /// Namespace and name that were asked for.
        name: QueueName,
        /// Those that there are.
        known: Vec<QueueName>,
    },
}

impl<P, O> Queue<P, O> {
    /// A queue with this name on a storage, with payloads and outputs in JSON.
    pub fn builder(storage: Arc<dyn Storage>, name: impl Into<String>) -> QueueBuilder<P, O> {
        QueueBuilder {
            storage,
            name: name.into(),
            namespace: None,
            codec: Json,
            observe: Arc::new(NoObserver),
            defaults: JobOptions::default(),
            max_payload: MAX_PAYLOAD,
            types: PhantomData,
        }
    }
}

impl<P, O, C: Codec> QueueBuilder<P, O, C> {
    /// Keeps it apart from queues of the same name in other namespaces, or in none.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Priority of jobs that name none. Higher ones go first. 0 if not set.
    pub const fn priority(mut self, priority: i32) -> Self {
        self.defaults.priority = priority;
        self
    }

    /// Deliveries of jobs that name none: attempts in all, with those whose worker died. 3 if not set.
    pub const fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.defaults.max_deliveries = deliveries;
        self
    }

    /// How long completed jobs are kept that don't say. An hour if not set.
    pub const fn retention(mut self, retention: Duration) -> Self {
        self.defaults.retention = retention;
        self
    }

    /// The longest encoded payload, in bytes. [`MAX_PAYLOAD`] if not set, which is the most.
    pub const fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Who is told what happens here, for metrics.
    pub fn observe(mut self, observe: Arc<dyn Observe>) -> Self {
        self.observe = observe;
        self
    }

    /// Another encoding of payloads and outputs.
    pub fn codec<D: Codec>(self, codec: D) -> QueueBuilder<P, O, D> {
        let Self { storage, name, namespace, codec: _, observe, defaults, max_payload, types } = self;
        QueueBuilder { storage, name, namespace, codec, observe, defaults, max_payload, types }
    }

    /// The queue. Nothing is asked of the storage yet.
    ///
    /// # Errors
    /// If options make no sense, with all of them.
    pub fn build(self) -> Result<Queue<P, O, C>, BuildError> {
        let mut problems = Vec::new();
        if self.defaults.max_deliveries == 0 {
            problems.push("max_deliveries must be at least 1".to_owned());
        }
        if !(1..=MAX_PAYLOAD).contains(&self.max_payload) {
            problems.push(format!("max_payload must be from 1 to {MAX_PAYLOAD} bytes"));
        }
        let name = full_name(self.namespace.as_deref(), &self.name);
        match name.map_err(|error| problems.push(error.to_string())) {
            Ok(name) if problems.is_empty() => {
                let waiters = Waiters::new(Arc::clone(&self.storage), name.clone());
                let Self { storage, codec, observe, defaults, max_payload, .. } = self;
                let core = Core { name, storage, codec, observe, defaults, max_payload, waiters };
                Ok(Queue { core: Arc::new(core), types: PhantomData })
            }
            _ => Err(BuildError { problems }),
        }
    }

    /// The queue, if it exists. A queue comes to be with its first job or setting, so [`build`](Self::build) takes
    /// any name; tools that show or mend what is there use this one, for which a mistyped name is an error.
    ///
    /// # Errors
    /// [`OpenError::Unknown`] with the names that there are, or what [`build`](Self::build) and the storage say.
    pub async fn build_known(self) -> Result<Queue<P, O, C>, OpenError> {
        let queue = self.build()?;
        let known = queue.core.storage.queues().await?;
        if known.contains(&queue.core.name) {
            return Ok(queue);
        }
        Err(OpenError::Unknown { name: queue.core.name.clone(), known })
    }
}

/// Some names, for people.
fn listed(names: &[QueueName]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = names.iter().take(SHOWN).map(QueueName::as_str).collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

/// Namespace and name as one. `/` stands between them and nowhere else, so that no two pairs look the same.
fn full_name(namespace: Option<&str>, name: &str) -> Result<QueueName, NameError> {
    let plain = |text: &str| text.replace('~', "~0").replace('/', "~1");
    QueueName::new(name)?;
    match namespace {
        None => QueueName::new(plain(name)),
        Some(namespace) => QueueName::new(format!("{}/{}", plain(namespace), plain(name))),
    }
}
