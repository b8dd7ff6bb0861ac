//! Addresses to listen on, and the certificates shown there.

use std::net::SocketAddr;

use super::cursor::Cursor;
use super::error::Place;
use super::mapping::Mapping;
use super::model::{CertificateFiles, Listener, Tls};
use super::value::quoted;
use crate::tls::{CertificateError, Certificates};

const KEYS: &[&str] = &["addr", "redirect_https", "proxy_protocol", "tls"];

/// The addresses of all listeners, to find two that can't both be had.
#[derive(Default)]
pub(super) struct Addresses(Vec<(SocketAddr, Place)>);

pub(super) fn read(server: &Mapping<'_>, nobody_trusted: bool, addresses: &mut Addresses) -> Vec<Listener> {
    let Some(list) = server.required("listen") else { return Vec::new() };
    let items = list.items();
    if items.is_empty() && list.is_list() {
        list.error("needs at least one listener, such as {addr: \"0.0.0.0:8080\"}");
    }
    items.iter().filter_map(|item| listener(item, nobody_trusted, addresses)).collect()
}

fn listener(item: &Cursor<'_>, nobody_trusted: bool, addresses: &mut Addresses) -> Option<Listener> {
    let map = item.mapping(&[KEYS]);
    let addr = map.required("addr").and_then(|at| addresses.read(&at));
    let redirect_https = map.flag("redirect_https", false);
    let proxy_protocol = map.flag("proxy_protocol", false);
    if let Some(at) = map.get("redirect_https")
        && redirect_https
        && map.get("tls").is_some()
    {
        at.error("a listener with tls can't redirect to https; set it on one without");
    }
    if let Some(at) = map.get("proxy_protocol")
        && proxy_protocol
        && nobody_trusted
    {
        at.error("needs server.trusted_proxies: a PROXY header is accepted from them only");
    }
    let tls = tls(&map);
    Some(Listener { addr: addr?, redirect_https, proxy_protocol, tls: tls? })
}

/// Key `tls` of a listener; the outer `None` is a mistake.
pub(super) fn tls(listener: &Mapping<'_>) -> Option<Option<Tls>> {
    let Some(at) = listener.get("tls") else { return Some(None) };
    let list = at.mapping(&[&["certificates"]]).required("certificates")?;
    let items = list.items();
    if items.is_empty() && list.is_list() {
        list.error("needs at least one certificate: {cert: PATH, key: PATH}");
    }
    let certificates = items.iter().filter_map(certificate).collect::<Vec<_>>();
    (!certificates.is_empty()).then_some(Some(Tls { certificates }))
}

fn certificate(item: &Cursor<'_>) -> Option<CertificateFiles> {
    let map = item.mapping(&[&["cert", "key"]]);
    let cert = map.required("cert");
    let key = map.required("key");
    let (cert_path, key_path) = (cert.as_ref().and_then(Cursor::file), key.as_ref().and_then(Cursor::file));
    let files = CertificateFiles { cert: cert_path?, key: key_path? };
    let tls = Tls { certificates: vec![files] };
    if let Err(error) = Certificates::load(&tls) {
        let of_key = tls
            .certificates
            .iter()
            .any(|files| matches!(&error, CertificateError::Unreadable { path, .. } if *path == files.key));
        let at = if of_key { key } else { cert };
        at?.error(error);
        return None;
    }
    tls.certificates.into_iter().next()
}

// === impl Addresses ===

impl Addresses {
    /// The address that a value names, unless another listener has it.
    pub(super) fn read(&mut self, at: &Cursor<'_>) -> Option<SocketAddr> {
        let addr = at.parse(|text| {
            text.parse::<SocketAddr>().map_err(|_| {
                format!(
                    "{} is not an address; write ip:port, such as 0.0.0.0:8080 or [::]:8080",
                    quoted(text)
                )
            })
        })?;
        self.claim(addr, at);
        Some(addr)
    }

    pub(super) fn claim(&mut self, addr: SocketAddr, at: &Cursor<'_>) {
        if let Some((other, place)) = self.0.iter().find(|(other, _)| collide(*other, addr)) {
            at.error(format!("{addr} can't be had beside {other} at {place}{}", of_both(addr, *other)));
        } else if let Some(why) = at.environment().refuses(addr) {
            at.error(why);
        }
        self.0.push((addr, at.place()));
    }

    /// Takes an address that is a default, written nowhere.
    pub(super) fn claim_default(&mut self, addr: SocketAddr, of: &Mapping<'_>) {
        if let Some((other, place)) = self.0.iter().find(|(other, _)| collide(*other, addr)) {
            let both = of_both(addr, *other);
            of.error(format!(
                "its default addr {addr} can't be had beside {other} at {place}{both}; set another"
            ));
        } else if let Some(why) = of.environment().refuses(addr) {
            of.error(format!("its default addr: {why}"));
        }
        self.0.push((addr, of.place()));
    }
}

/// What is to be known of addresses that do not look alike.
fn of_both(one: SocketAddr, other: SocketAddr) -> &'static str {
    if one.is_ipv4() == other.is_ipv4() { "" } else { " ([::] takes IPv4 as well)" }
}

/// Whether two sockets can't listen at once. Port 0 is a new port each time.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    // `[::]` takes what comes by IPv4 as well.
    let takes = |wide: SocketAddr, other: SocketAddr| {
        wide.ip().is_unspecified() && (wide.is_ipv6() || other.is_ipv4())
    };
    let overlap = one.ip() == other.ip() || takes(one, other) || takes(other, one);
    one.port() != 0 && one.port() == other.port() && overlap
}
