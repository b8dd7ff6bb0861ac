//! The PROXY protocol, versions 1 and 2, that a load balancer in front may send before anything
//! else to say who the client is (haproxy.org, proxy-protocol.txt).

use std::net::SocketAddr;

use ppp::{HeaderResult, PartialResult as _, v1, v2};
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// How a line of version 1 begins.
const V1_PREFIX: &[u8] = b"PROXY ";
/// The longest line of version 1.
const MAX_LINE: usize = 107;
/// Version 2 with extensions seldom has more than 536 bytes, and this leaves room for the largest
/// common set of them.
const MAX_HEADER: usize = 4096;

/// Why a PROXY header was not accepted.
#[derive(Debug, Error)]
pub enum ProxyHeaderError {
    /// The connection ended or failed before the header was whole.
    #[error("reading the PROXY header: {0}")]
    Io(#[from] std::io::Error),
    /// What came is no PROXY header.
    #[error("malformed PROXY header: {0}")]
    Malformed(String),
    /// It is longer than any sensible one.
    #[error("PROXY header longer than {MAX_HEADER} bytes")]
    TooLong,
}

/// What the bytes so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Partial,
    /// The header has `length` bytes; `client` is absent for health checks of the balancer itself
    /// (`LOCAL`, `UNKNOWN`).
    Complete {
        /// Bytes of the header.
        length: usize,
        /// The client.
        client: Option<SocketAddr>,
    },
}

/// Reads the header and nothing behind it.
///
/// # Errors
/// If what comes is no PROXY header.
pub async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut seen = vec![0; MAX_HEADER];
    let mut peeked_before = 0;
    loop {
        let peeked = stream.peek(&mut seen).await?;
        match parse(seen.get(..peeked).unwrap_or_default())? {
            Parsed::Complete { length, client } => {
                stream.read_exact(seen.get_mut(..length).unwrap_or_default()).await?;
                return Ok(client);
            }
            Parsed::Partial if peeked >= MAX_HEADER => return Err(ProxyHeaderError::TooLong),
            Parsed::Partial if peeked == 0 => {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
            Parsed::Partial if peeked == peeked_before => {
                // Nothing new: peeking does not consume, so readiness stays. The caller's deadline
                // bounds how often this happens.
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            Parsed::Partial => peeked_before = peeked,
        }
    }
}

/// Parses what may be a header.
///
/// # Errors
/// If no continuation of the bytes would be a header.
pub fn parse(bytes: &[u8]) -> Result<Parsed, ProxyHeaderError> {
    if is_open_line(bytes) {
        return Ok(Parsed::Partial);
    }
    let result = HeaderResult::parse(bytes);
    if result.is_incomplete() {
        return Ok(Parsed::Partial);
    }
    match result {
        HeaderResult::V1(Ok(header)) => Ok(Parsed::Complete {
            length: header.header.len(),
            client: match header.addresses {
                v1::Addresses::Tcp4(a) => Some((a.source_address, a.source_port).into()),
                v1::Addresses::Tcp6(a) => Some((a.source_address, a.source_port).into()),
                v1::Addresses::Unknown => None,
            },
        }),
        HeaderResult::V2(Ok(header)) => Ok(Parsed::Complete {
            length: header.len(),
            client: match (header.command, header.addresses) {
                (v2::Command::Local, _) => None,
                (_, v2::Addresses::IPv4(a)) => Some((a.source_address, a.source_port).into()),
                (_, v2::Addresses::IPv6(a)) => Some((a.source_address, a.source_port).into()),
                _ => None,
            },
        }),
        HeaderResult::V1(Err(error)) => Err(ProxyHeaderError::Malformed(error.to_string())),
        HeaderResult::V2(Err(error)) => Err(ProxyHeaderError::Malformed(error.to_string())),
    }
}

/// Whether the bytes are the beginning of a line of version 1 whose end is still to come. The
/// parser judges what is there already, and half a port is none.
fn is_open_line(bytes: &[u8]) -> bool {
    let begins = V1_PREFIX.starts_with(bytes) || bytes.starts_with(V1_PREFIX);
    begins && bytes.len() < MAX_LINE && !bytes.windows(2).any(|pair| pair == b"\r\n")
}

#[cfg(test)]
#[path = "proxy_header_tests.rs"]
mod tests;
