//! What the tests of the shipper share.

pub mod fault_proxy;
pub mod plain;
pub mod s3_server;
