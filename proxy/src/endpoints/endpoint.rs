//! One endpoint and what is known about it. Kept by address, so that a pool that is rebuilt for a
//! changed membership goes on with the same counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// The live state of one endpoint.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    in_flight: AtomicUsize,
    /// Whether it has ever passed a health check.
    proven: AtomicBool,
    /// Whether it failed health checks and has passed none since. Pools without checks don't look at it.
    down: AtomicBool,
    /// Exchanges in a row without the head of an answer.
    pub(super) failures: AtomicU32,
    /// Answers in a row that it cut.
    pub(super) cuts: AtomicU32,
    /// Ejections in a row, for the backoff.
    pub(super) ejections: AtomicU32,
    /// Milliseconds of the process clock until which the endpoint is ejected; 0 if it is not.
    pub(super) ejected_until: AtomicU64,
}

/// Counts a request as in flight on its endpoint until dropped.
#[derive(Debug)]
pub struct EndpointInFlight(Arc<Endpoint>);

impl Endpoint {
    /// An endpoint about which nothing is known yet.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            in_flight: AtomicUsize::new(0),
            proven: AtomicBool::new(false),
            down: AtomicBool::new(false),
            failures: AtomicU32::new(0),
            cuts: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        }
    }

    /// Whether it is not known to fail health checks.
    pub(super) fn is_up(&self) -> bool {
        !self.down.load(Ordering::Relaxed)
    }

    /// Whether it passed a health check and has not failed since.
    pub(super) fn is_proven(&self) -> bool {
        self.is_up() && self.proven.load(Ordering::Relaxed)
    }

    /// Notes what health checks say of it.
    pub(super) fn checked(&self, healthy: bool) {
        self.down.store(!healthy, Ordering::Relaxed);
        self.proven.fetch_or(healthy, Ordering::Relaxed);
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests in flight on it.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one more request in flight.
    #[must_use]
    pub fn begin(self: &Arc<Self>) -> EndpointInFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        EndpointInFlight(Arc::clone(self))
    }
}

impl EndpointInFlight {
    /// The endpoint that the request is on.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.0
    }
}

impl Drop for EndpointInFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
