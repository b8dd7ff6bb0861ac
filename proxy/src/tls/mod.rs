//! TLS on both sides: the certificates that listeners present, and the authorities that upstream
//! connections trust.

pub mod authorities;
pub mod certificates;

pub use certificates::{CertificateError, Certificates};
