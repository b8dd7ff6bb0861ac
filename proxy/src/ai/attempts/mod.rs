//! Who is asked, in which order, and what follows when one fails: decisions without sockets.
//! [`answer`] tells what a provider's refusal means, [`course`] what to do next, [`cooldown`] whom
//! to leave alone for a while, [`order`] whom to ask first.

pub mod answer;
pub mod cooldown;
pub mod course;
pub mod order;
pub mod retry_after;
