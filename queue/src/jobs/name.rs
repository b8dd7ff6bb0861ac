//! Names: of queues, jobs, workers. Each is checked once, where it is made, so that storages may rely on
//! its length, and never on its characters: they encode or bind names, and don't build paths or keys of them.

use std::fmt;
use std::sync::Arc;

use ulid::Ulid;

/// The longest name of a queue or worker, in bytes.
pub const MAX_NAME: usize = 128;
/// The longest job id, in bytes.
pub const MAX_ID: usize = 512;

/// A name that is empty or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must have 1 to {limit} bytes, this one has {len}")]
pub struct NameError {
    /// What was named: `queue`, `job id`, `worker`.
    pub what: &'static str,
    /// Its length in bytes.
    pub len: usize,
    /// The most that is allowed.
    pub limit: usize,
}

/// Defines a name: an immutable string of bounded length that is cheap to clone.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the length; every character is allowed.
            ///
            /// # Errors
            /// If it is empty or too long.
            pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
                let name = name.as_ref();
                match name.len() {
                    1..=$limit => Ok(Self(name.into())),
                    len => Err(NameError { what: $what, len, limit: $limit }),
                }
            }

            /// The name as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, formatter)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Which queue: queues of one storage share nothing but the storage. A namespace is part of the name.
    QueueName, "queue", MAX_NAME
);
name!(
    /// Which job, within its queue. It is held from enqueue until the job's retention ends.
    JobId, "job id", MAX_ID
);
name!(
    /// Which worker holds a lease; for people to read. What fences is the [`Token`](super::Token).
    WorkerId, "worker", MAX_NAME
);

impl WorkerId {
    /// A name that nobody else has.
    #[must_use]
    pub fn unique(kind: &'static str) -> Self {
        Self(format!("{:.32}-{}", kind, Ulid::generate()).into())
    }
}

impl JobId {
    /// An id that no other job has: a ULID, which sorts by time.
    #[must_use]
    pub fn unique() -> Self {
        Self(Ulid::generate().to_string().into())
    }
}
