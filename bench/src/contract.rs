//! Checks, before anything is measured, that a contender does the work that is compared.

use crate::contender::Running;
use crate::error::{Context as _, Result, demand};
use crate::layout::{host, set_cookie, version};
use crate::load::{Answer, Connection, request};
use crate::origin::ECHO;

/// Headers that the origin must get, with their values; an empty value stands for any (Envoy puts
/// the machine's own address in the place of a loopback one).
const FORWARDED: [(&str, &str); 4] = [
    ("x-forwarded-for", ""),
    ("x-forwarded-proto", "http"),
    ("x-forwarded-host", "app0.test"),
    ("x-request-id", ""),
];

/// Asks as pinned and unpinned visitors do.
///
/// # Errors
/// If an answer is not what every contender must give.
pub async fn check(running: &Running) -> Result<()> {
    let mut connection = Connection::open(running.address).await.context(|| "cannot connect".to_owned())?;
    let last_app = host(running.layout.apps - 1);
    for id in running.layout.versions().map(version) {
        let answer = connection
            .ask(&request(&last_app, "/", Some(&id)))
            .await
            .context(|| format!("pinned to {id}"))?;
        served_by(&answer, &id)?;
        demand(answer.cookie.is_empty(), || format!("pinned to {id}, still gets a cookie"))?;
    }
    let active = running.layout.active();
    for pin in [None, Some("unheard-of")] {
        let answer = connection.ask(&request(&last_app, "/", pin)).await.context(|| "unpinned".to_owned())?;
        served_by(&answer, &active)?;
        let pair = set_cookie(&active);
        let pair = pair.split(';').next().unwrap_or_default();
        demand(answer.cookie.starts_with(pair.as_bytes()), || {
            format!("pin {pin:?}, gets no cookie for {active}")
        })?;
    }
    let answer =
        connection.ask(&request(&host(0), ECHO, Some(&active))).await.context(|| "echo".to_owned())?;
    forwarded(&String::from_utf8_lossy(answer.body))
}

fn served_by(answer: &Answer<'_>, id: &str) -> Result<()> {
    let right = answer.status == 200 && answer.chosen == id.as_bytes() && answer.origin == id.as_bytes();
    demand(right, || {
        let said = String::from_utf8_lossy(answer.chosen);
        let was = String::from_utf8_lossy(answer.origin);
        format!("{id} should answer: status {}, chosen {said:?}, served by {was:?}", answer.status)
    })
}

fn forwarded(head: &str) -> Result<()> {
    for (name, expected) in FORWARDED {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        let value = lines.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        let right = value
            .is_some_and(|value| if expected.is_empty() { !value.is_empty() } else { value == expected });
        demand(right, || format!("the origin gets {name}: {value:?}"))?;
    }
    Ok(())
}
