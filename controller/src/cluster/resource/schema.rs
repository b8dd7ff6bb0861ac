//! The values that the CRD lets pass. The API server is the first to check them; what it can't
//! say, such as bounds of durations, the configuration's own rules refuse.

use schemars::{Schema, SchemaGenerator, json_schema};

/// At most this many hosts.
const MAX_HOSTS: usize = 1000;
/// What may have a say in the end of versions.
pub(crate) const EXPIRE_POLICIES: &[&str] = &["http-traffic", "webhook"];

macro_rules! choices {
    ($($name:ident: [$($word:literal),+];)+) => {
        $(pub(super) fn $name(_: &mut SchemaGenerator) -> Schema {
            json_schema!({"type": "string", "enum": [$($word),+]})
        })+
    };
}

choices! {
    balance: ["round_robin", "least_loaded"];
    audit: ["none", "metadata", "full"];
    navigation: ["pinned", "latest"];
    on_expired: ["active", "reject_unsafe", "reject"];
    on_unhealthy: ["fail", "active"];
    same_site: ["strict", "lax", "none"];
    secure: ["auto", "always", "never"];
    access: ["closed", "open", "token"];
    cleanup: ["none", "scale", "delete"];
    mode: ["manage", "observe", "advise"];
    state: ["staged", "pending", "active", "draining", "expiring", "expired"];
}

pub(super) fn expire_policy(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": EXPIRE_POLICIES})
}

pub(super) fn hosts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_HOSTS,
        "items": {"type": "string", "minLength": 1, "maxLength": 255},
    })
}

pub(super) fn path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^/", "maxLength": 2048})
}

pub(super) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 1024})
}

pub(super) fn url(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^https?://", "maxLength": 2048})
}

pub(super) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"})
}

pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9]{1,15}(ms|s|m|h|d)$"})
}

pub(super) fn share(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?) ?%$"})
}

/// A number or a word has no type of its own in a structural schema.
pub(super) fn max_versions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "x-kubernetes-validations": [{
            "rule": "type(self) == int ? self >= 1 && self <= 100000 : self == 'unlimited'",
            "message": "write a number from 1 to 100000, or unlimited",
        }],
    })
}

pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// It was checked when it was a `spec`.
pub(super) fn accepted(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}
