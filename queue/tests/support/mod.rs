//! What suites on real storages share.

#[cfg(feature = "postgres")]
pub(crate) mod postgres;
