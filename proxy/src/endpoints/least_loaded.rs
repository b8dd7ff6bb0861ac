//! A selection for pingora-load-balancing, which has none that looks at load: the endpoint with
//! the fewest requests in flight first, equal ones in turn.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pingora_load_balancing::Backend;
use pingora_load_balancing::selection::{BackendIter, BackendSelection};

use super::Endpoint;

/// Orders the endpoints of a pool by their requests in flight.
#[derive(Debug)]
pub struct LeastLoaded {
    members: Box<[(Backend, Arc<Endpoint>)]>,
    turn: AtomicUsize,
}

/// The endpoints of one choice, best first.
#[derive(Debug)]
pub struct LeastLoadedIter {
    selection: Arc<LeastLoaded>,
    order: std::vec::IntoIter<usize>,
}

impl BackendSelection for LeastLoaded {
    type Iter = LeastLoadedIter;
    type Config = Arc<[Arc<Endpoint>]>;

    fn build_with_config(backends: &BTreeSet<Backend>, endpoints: &Self::Config) -> Self {
        let find = |backend: &Backend| {
            let address = backend.addr.as_inet()?;
            endpoints.iter().find(|endpoint| endpoint.address() == *address)
        };
        let members = backends
            .iter()
            .filter_map(|backend| Some((backend.clone(), Arc::clone(find(backend)?))))
            .collect();
        Self { members, turn: AtomicUsize::new(0) }
    }

    fn build(_backends: &BTreeSet<Backend>) -> Self {
        Self { members: Box::default(), turn: AtomicUsize::new(0) }
    }

    fn iter(self: &Arc<Self>, _key: &[u8]) -> Self::Iter {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.members.len();
        let mut order: Vec<usize> = (0..count).map(|n| turn.wrapping_add(n) % count).collect();
        order.sort_by_key(|index| self.members.get(*index).map(|(_, endpoint)| endpoint.in_flight()));
        LeastLoadedIter { selection: Arc::clone(self), order: order.into_iter() }
    }
}

impl BackendIter for LeastLoadedIter {
    fn next(&mut self) -> Option<&Backend> {
        let index = self.order.next()?;
        self.selection.members.get(index).map(|(backend, _)| backend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_loaded_comes_first_and_equals_take_turns() {
        let endpoints: Arc<[Arc<Endpoint>]> =
            (0..3).map(|n| Arc::new(Endpoint::new(([127, 0, 0, 1], 9000 + n).into()))).collect();
        let backends = endpoints.iter().map(|e| Backend::new(&e.address().to_string()).unwrap()).collect();
        let selection = Arc::new(LeastLoaded::build_with_config(&backends, &endpoints));
        let first = || selection.iter(b"").next().unwrap().addr.to_string();

        let turns: BTreeSet<String> = (0..3).map(|_| first()).collect();
        assert_eq!(turns.len(), 3);

        let _busy = [endpoints[0].begin(), endpoints[2].begin()];
        assert!((0..6).all(|_| first() == "127.0.0.1:9001"));
        let _busier = [endpoints[1].begin(), endpoints[1].begin(), endpoints[2].begin()];
        assert!((0..6).all(|_| first() == "127.0.0.1:9000"));
    }
}
