//! Lockstep: an edge proxy that keeps every visitor on the version of the app that they loaded.
//!
//! A request enters through [`front`] (listeners, TLS, limits), is taken through Pingora's phases
//! by [`edge`], routed by the table of [`routing`] to a pool of [`endpoints`], and leaves its traces
//! in [`access_log`], [`metrics`] and [`tee`]. Calls of language models are served by [`ai`]. [`plane`] holds the state that requests read;
//! [`process`] starts everything, follows the configuration of [`config`] and ends it in order.
//! People reach it through [`admin`] and [`cli`]; [`demo`] shows it on one machine.
#![forbid(unsafe_code)]

pub mod access_log;
pub mod admin;
pub mod ai;
pub mod audit;
pub mod background;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod edge;
pub mod endpoints;
pub mod explain;
pub mod front;
mod gathered;
pub mod logging;
mod media_type;
pub mod metrics;
pub mod plane;
pub mod problems;
pub mod process;
pub mod reason;
pub mod routing;
pub mod stats;
pub mod tee;
pub mod tls;
mod writer_thread;
