//! The versions that an app has in the file, and what refers to them.

use std::collections::HashMap;
use std::net::SocketAddr;

use lockstep_controller::{Canary, Share, VersionId};

use super::cursor::Cursor;
use super::error::Place;
use super::mapping::Mapping;
use super::model::StaticVersion;
use super::value::quoted;

/// Most ids that a message lists.
const LISTED: usize = 10;

/// Keys `versions`, `active` and `canary` of an app.
pub(super) struct Versions {
    pub(super) versions: Vec<StaticVersion>,
    pub(super) active: Option<VersionId>,
    pub(super) canary: Option<Canary>,
}

/// The ids that were read so far.
#[derive(Default)]
struct Ids {
    places: HashMap<VersionId, Place>,
    in_order: Vec<VersionId>,
    /// One could not be read: what is not known may be that one.
    incomplete: bool,
}

pub(super) fn read(app: &Mapping<'_>) -> Versions {
    let mut ids = Ids::default();
    let mut versions = Vec::new();
    if let Some(list) = app.required("versions") {
        let items = list.items();
        if items.is_empty() && list.is_list() {
            list.error("needs at least one version: {id: v1, endpoints: [\"127.0.0.1:9001\"]}");
        }
        ids.incomplete = items.is_empty();
        versions.extend(items.iter().filter_map(|item| version(item, &mut ids)));
    } else {
        ids.incomplete = true;
    }
    refer(app, ids, versions)
}

/// As [`read`], where the cluster knows the versions and the file does not.
pub(super) fn read_of_cluster(app: &Mapping<'_>) -> Versions {
    refer(app, Ids { incomplete: true, ..Ids::default() }, Vec::new())
}

fn refer(app: &Mapping<'_>, ids: Ids, versions: Vec<StaticVersion>) -> Versions {
    let active = app.get("active").and_then(|at| ids.read(&at));
    let canary = app.get("canary").and_then(|at| canary(&at, &ids, active.as_ref()));
    Versions { versions, active, canary }
}

fn version(item: &Cursor<'_>, ids: &mut Ids) -> Option<StaticVersion> {
    let map = item.mapping(&[&["id", "endpoints"]]);
    let id = map.required("id").and_then(|at| ids.add(&at));
    ids.incomplete |= id.is_none();
    let mut endpoints = Vec::new();
    if let Some(list) = map.required("endpoints") {
        let items = list.items();
        if items.is_empty() && list.is_list() {
            list.error("needs at least one endpoint, such as 127.0.0.1:9001");
        }
        for item in items {
            let Some(endpoint) = item.parse(endpoint) else { continue };
            if endpoints.contains(&endpoint) {
                item.error(format!("{endpoint} is listed twice"));
            }
            endpoints.push(endpoint);
        }
    }
    Some(StaticVersion { id: id?, endpoints })
}

fn endpoint(text: &str) -> Result<SocketAddr, String> {
    let endpoint = text.parse::<SocketAddr>().map_err(|_| {
        format!("{} is not an address; write ip:port, such as 127.0.0.1:9001 or [::1]:9001 (names are not resolved)", quoted(text))
    })?;
    if endpoint.port() == 0 {
        Err(format!("{} has port 0; write 1 to 65535", quoted(text)))
    } else {
        Ok(endpoint)
    }
}

fn canary(at: &Cursor<'_>, ids: &Ids, active: Option<&VersionId>) -> Option<Canary> {
    let map = at.mapping(&[&["version", "share"]]);
    let at = map.required("version");
    let version = at.as_ref().and_then(|at| ids.read(at));
    let share = map.required("share").and_then(|at| at.parse(str::parse::<Share>));
    let (at, version, share) = (at?, version?, share?);
    if Some(&version) == active {
        at.error(format!(
            "{version} is fixed as the active version, which everyone gets; a canary is another one"
        ));
    } else if ids.places.len() == 1 && !ids.incomplete && share < Share::ALL {
        at.error("is the app's only version; a canary needs another one for everyone else");
    }
    Some(Canary { version, share })
}

// === impl Ids ===

impl Ids {
    fn add(&mut self, at: &Cursor<'_>) -> Option<VersionId> {
        let id = at.parse(str::parse::<VersionId>)?;
        if let Some(first) = self.places.get(&id) {
            at.error(format!("{id} is the id of another version already, at {first}"));
        } else {
            self.places.insert(id.clone(), at.place());
            self.in_order.push(id.clone());
        }
        Some(id)
    }

    /// The id of a version of this app.
    fn read(&self, at: &Cursor<'_>) -> Option<VersionId> {
        let id = at.parse(str::parse::<VersionId>)?;
        if !self.incomplete && !self.places.contains_key(&id) {
            let known = self.in_order.iter().rev().take(LISTED).map(VersionId::as_str).collect::<Vec<_>>();
            at.error(format!("{id} is no version of this app; its newest are {}", known.join(", ")));
        }
        Some(id)
    }
}
