//! Answers that are streams of events: `opening` waits for the first event, `pump` decides what
//! becomes of each, `joint` lets one stream go on where another broke off, `relay` moves bytes, `usage` hides what the client did not ask for.

pub(crate) mod joint;
pub(crate) mod opening;
pub(crate) mod pump;
pub(crate) mod relay;
pub mod usage;
