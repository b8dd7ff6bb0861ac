//! `VersionedApp`s as they are watched: read one by one, so that one which somebody edited into
//! nonsense keeps no other from being seen.

use std::sync::Arc;

use kube::core::{ApiResource, DynamicObject};
use serde_json::Value;

use super::discovery::objects::Kept;
use super::resource::VersionedApp;

/// A resource, as far as it could be read.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// The resource; with an empty status, if that could not be read.
    pub(crate) app: Option<Arc<VersionedApp>>,
    pub(crate) uid: String,
    /// What could not be read, and why.
    pub(crate) unreadable: Option<String>,
}

/// How the API is asked for them.
pub(crate) fn api_resource() -> ApiResource {
    ApiResource::erase::<VersionedApp>(&())
}

impl Kept for Stored {
    type Object = DynamicObject;

    fn keep(mut object: DynamicObject) -> Option<Self> {
        object.metadata.managed_fields = None;
        let uid = object.metadata.uid.clone().unwrap_or_default();
        let whole = serde_json::to_value(object).ok()?;
        let (app, unreadable) = match read(whole.clone()) {
            Ok(app) => (Some(app), None),
            Err(error) => (read(without_status(whole)).ok(), Some(error.to_string())),
        };
        Some(Self { app, uid, unreadable })
    }
}

/// By what tells versions of an object apart; the rest is large.
impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        let version = |stored: &Self| {
            let app = stored.app.as_ref()?;
            Some((app.metadata.uid.clone()?, app.metadata.resource_version.clone()?))
        };
        self.unreadable == other.unreadable && version(self).is_some_and(|one| version(other) == Some(one))
    }
}

impl Stored {
    /// Takes over from an earlier form what could not be read of this one.
    pub(crate) fn after(mut self, earlier: &Self) -> Self {
        if self.unreadable.is_some() {
            self.app = match (self.app, &earlier.app) {
                (Some(app), Some(earlier)) => {
                    let mut app = VersionedApp::clone(&app);
                    app.status.clone_from(&earlier.status);
                    Some(Arc::new(app))
                }
                (app, earlier) => app.or_else(|| earlier.clone()),
            };
        }
        self
    }
}

fn read(object: Value) -> serde_json::Result<Arc<VersionedApp>> {
    serde_json::from_value(object).map(Arc::new)
}

fn without_status(mut object: Value) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.remove("status");
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stored(spec: Value, status: Value) -> Stored {
        let object = json!({
            "apiVersion": "lockstep.dev/v1", "kind": "VersionedApp",
            "metadata": {"name": "shop", "namespace": "web", "uid": "u", "resourceVersion": "1"},
            "spec": spec, "status": status,
        });
        Stored::keep(serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn nonsense_keeps_what_was_known() {
        let good = json!({"active": null, "versions": [], "history": []});
        let first = stored(json!({"hosts": ["a.example"]}), good);
        assert_eq!((first.unreadable.is_none(), first.app.is_some()), (true, true));
        let bad_status = stored(json!({"hosts": ["b.example"]}), json!({"versions": 7}));
        assert!(bad_status.unreadable.is_some());
        let merged = bad_status.after(&first).app.unwrap();
        assert_eq!(merged.spec.hosts.as_deref(), Some(["b.example".to_owned()].as_slice()));
        assert!(merged.status.is_some());
        let bad_spec = stored(json!({"hosts": 7}), json!({}));
        assert!(bad_spec.app.is_none());
        let merged = bad_spec.after(&first).app.unwrap();
        assert_eq!(merged.spec.hosts.as_deref(), Some(["a.example".to_owned()].as_slice()));
    }
}
