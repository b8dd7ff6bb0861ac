//! The gateway to providers of language models.
//!
//! [`reading`] understands what providers answer.

pub mod reading;
