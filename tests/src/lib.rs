//! The harness of the end-to-end suites: it starts the real binary, real origins and real clients,
//! on loopback ports that the system chooses, and ends all of them with the test.

pub mod audit;
pub mod certificates;
pub mod config;
pub mod curl;
pub mod faults;
pub mod gateway;
pub mod http1;
pub mod http2;
pub mod kube;
pub mod load;
pub mod lockstep;
pub mod metrics;
pub mod origin;
pub mod poll;
pub mod process;
pub mod provider;
pub mod raw;
pub mod s3;
pub mod sdk;
pub mod servers;
pub mod tools;

pub use config::{App, Config, app};
pub use http1::Message;
pub use lockstep::{Lockstep, OPERATOR, VIEWER};
pub use origin::Origin;
pub use poll::{eventually, until};
pub use provider::Provider;
pub use raw::{Client, Request};

/// How much of something a suite does: what the environment says, for `make test-long`, or what is enough
/// each time.
pub fn long(variable: &str, each_time: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(each_time)
}

/// The host of the app in most tests.
pub const HOST: &str = "shop.test";
/// The cookie that pins.
pub const COOKIE: &str = "__plt_dpl";
