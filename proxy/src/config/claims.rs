//! Which app has which host and path: no two may have the same.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::error::Place;
use super::mapping::Mapping;
use super::value::{HostPattern, PathPrefix};

/// Hosts and paths with the places where they were claimed; `None` is every host.
#[derive(Default)]
pub(super) struct Claims(HashMap<(Option<HostPattern>, PathPrefix), Place>);

impl Claims {
    pub(super) fn claim(
        &mut self,
        app: &Mapping<'_>,
        hosts: &[(HostPattern, Cursor<'_>)],
        path: &PathPrefix,
    ) {
        if hosts.is_empty()
            && let Some(other) = self.add(None, path, app.place())
        {
            app.error(format!("claims path {path} of every host, as the app at {other} does; give one of them hosts or another path"));
        }
        for (host, at) in hosts {
            if let Some(other) = self.add(Some(host.clone()), path, at.place()) {
                at.error(format!("host {host} with path {path} is claimed already, at {other}"));
            }
        }
    }

    /// Where it was claimed before, if it was.
    fn add(&mut self, host: Option<HostPattern>, path: &PathPrefix, place: Place) -> Option<Place> {
        let key = (host, path.clone());
        if let Some(other) = self.0.get(&key) {
            return Some(*other);
        }
        self.0.insert(key, place);
        None
    }
}
