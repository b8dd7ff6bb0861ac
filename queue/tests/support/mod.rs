//! What the tests of the shipper share.

pub(crate) mod fault_proxy;
pub(crate) mod plain;
pub(crate) mod s3_server;
