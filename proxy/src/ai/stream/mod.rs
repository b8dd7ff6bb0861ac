//! Answers that are streams of events: [`opening`] waits for the first event, [`pump`] decides what
//! becomes of each, [`relay`] moves bytes, [`usage`] hides what the client did not ask for.

pub(crate) mod opening;
pub(crate) mod pump;
pub(crate) mod relay;
pub mod usage;
