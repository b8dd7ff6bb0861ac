//! One call, from its head to its record. [`admit`] says who calls and whether it may, [`receive`]
//! takes the body, [`asked`] knows what is asked for, [`attempt`] asks one target once, [`turn`] answers
//! with it, [`run`] goes through the targets, [`answer`] gives the client what came of it, [`record`] notes everything.

pub(crate) mod admit;
pub(crate) mod answer;
pub(crate) mod asked;
pub(crate) mod attempt;
pub(crate) mod client;
pub(crate) mod models;
pub(crate) mod raw;
pub(crate) mod receive;
pub(crate) mod record;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod streaming;
pub(crate) mod turn;

#[cfg(test)]
mod order_tests;
