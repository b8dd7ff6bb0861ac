//! Section `server.admin`.

use std::net::{Ipv4Addr, SocketAddr};

use super::cursor::Cursor;
use super::listen::{Addresses, tls};
use super::mapping::Mapping;
use super::model::{Admin, AdminToken, Permission};
use super::secret;
use super::value::{choice, quoted};

pub(super) const KEYS: &[&str] = &["addr", "tls", "tokens", "metrics"];

pub(super) const PERMISSIONS: &[(&str, Permission)] =
    &[("read", Permission::Read), ("operate", Permission::Operate)];

const PORT: u16 = 9901;

pub(super) fn read(map: &Mapping<'_>, addresses: &mut Addresses) -> Option<Admin> {
    let addr = if let Some(at) = map.get("addr") {
        addresses.read(&at)
    } else {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        addresses.claim_default(addr, map);
        Some(addr)
    };
    let tls = tls(map);
    let tokens = tokens(map);
    let metrics_token = map.get("metrics").and_then(|at| {
        let at = at.mapping(&[&["token"]]).get("token")?;
        secret::token(&at)
    });
    Some(Admin { addr: addr?, tls: tls?, tokens, metrics_token })
}

fn tokens(map: &Mapping<'_>) -> Vec<AdminToken> {
    let mut tokens: Vec<AdminToken> = Vec::new();
    for item in map.list("tokens") {
        let item = item.mapping(&[&["name", "token", "can"]]);
        let name = item.required("name");
        let value = item.required("token");
        let can = item.or("can", Permission::Read, choice(PERMISSIONS));
        let token = value.as_ref().and_then(secret::token);
        let Some(name) = name.and_then(|at| unused(&at, &tokens)) else { continue };
        let (Some(at), Some(token)) = (value, token) else { continue };
        if let Some(other) = tokens.iter().find(|other| other.token.matches(token.expose().as_bytes())) {
            at.error(format!("is the token of {} too; whose it is could not be told", quoted(&other.name)));
            continue;
        }
        tokens.push(AdminToken { name, token, can });
    }
    tokens
}

fn unused(at: &Cursor<'_>, tokens: &[AdminToken]) -> Option<String> {
    at.parse(|name| {
        let valid = (1..=63).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !valid {
            return Err(format!("{} is not a name; write 1 to 63 characters", quoted(name)));
        }
        if tokens.iter().any(|token| token.name == name) {
            return Err(format!("{} is the name of another token", quoted(name)));
        }
        Ok(name.to_owned())
    })
}
