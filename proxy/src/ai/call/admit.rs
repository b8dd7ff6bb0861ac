//! Who calls, and whether it may.

use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;

use crate::ai::errors::ApiError;
use crate::ai::keys::{self, KnownKey, Unknown};
use crate::ai::snapshot::Snapshot;
use crate::config::ai::model::Auth;

/// A caller that may call.
pub(crate) enum Caller {
    /// The bearer of one of our keys.
    Known(Arc<KnownKey>),
    /// Whoever has a key of the provider's.
    Own(String),
    /// Anybody.
    Anyone,
}

/// Tells who calls.
///
/// # Errors
/// If it may not.
pub(crate) fn admit(snapshot: &Snapshot, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let given = keys::given(headers);
    match snapshot.config.auth {
        Auth::None => Ok(Caller::Anyone),
        Auth::Passthrough => given.map(|key| Caller::Own(key.to_owned())).ok_or_else(ApiError::no_key),
        Auth::Keys => {
            let key = given.ok_or_else(ApiError::no_key)?;
            let found = snapshot.keyring.find(key, Timestamp::now());
            found.map(Caller::Known).map_err(|unknown| ApiError::bad_key(unknown == Unknown::Expired))
        }
    }
}

impl Caller {
    /// Whether it may ask for a model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        match self {
            Self::Known(key) => key.may_use(model),
            Self::Own(_) | Self::Anyone => true,
        }
    }

    /// Whether it may send what names no model, and so may use any: batches, say.
    pub(crate) fn may_use_any(&self) -> bool {
        match self {
            Self::Known(key) => key.may_use_any(),
            Self::Own(_) | Self::Anyone => true,
        }
    }
}
