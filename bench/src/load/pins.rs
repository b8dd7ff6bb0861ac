//! The requests of pinned visitors, made ahead, and the order in which clients send them.

use crate::layout::{COOKIE, Layout, host, version};

/// Coprime to every count of pins in use, so that a walk meets all of them.
const STRIDE: usize = 7919;

/// A visitor of one app who is pinned to one version.
pub struct Pin {
    /// The version that must answer.
    pub version: String,
    /// The bytes of the request.
    pub request: Vec<u8>,
}

/// The pins in use.
pub struct Pins(Vec<Pin>);

impl Pins {
    /// So many pins, spread evenly over the layout.
    pub fn new(layout: Layout, in_use: usize) -> Self {
        let in_use = in_use.clamp(1, layout.total());
        let step = layout.total() / in_use;
        let pins = (0..in_use).map(|number| {
            let (app, version) = layout.pin(number * step);
            // Steps over whole apps must not meet the same version each time.
            let shift = if step > 1 { number } else { 0 };
            Pin::new(app, (version + shift) % layout.versions)
        });
        Self(pins.collect())
    }

    /// The pins in the order of one client, without end.
    pub fn walk(&self, client: usize) -> impl Iterator<Item = &Pin> {
        let count = self.0.len();
        let start = client * count / 64;
        (0..).filter_map(move |step: usize| self.0.get((start + step * STRIDE) % count))
    }
}

impl Pin {
    fn new(app: usize, number: usize) -> Self {
        let version = version(number);
        let request = request(&host(app), "/api/cart?item=42", Some(&version));
        Self { version, request }
    }
}

/// A request as a script of a page sends it: no page load.
pub fn request(host: &str, path: &str, pin: Option<&str>) -> Vec<u8> {
    let pin = pin.map(|version| format!("; {COOKIE}={version}")).unwrap_or_default();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lockstep-bench\r\nAccept: application/json\r\n\
         Accept-Language: en\r\nCookie: session=5f2b7c1e9a{pin}\r\n\r\n"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_walk_meets_every_pin_in_use() {
        for (apps, versions, in_use) in [(1, 10, 10), (100, 10, 1000), (1000, 10, 1000), (3, 7, 5)] {
            let pins = Pins::new(Layout { apps, versions }, in_use);
            let met: HashSet<_> = pins.walk(5).take(in_use).map(|pin| &pin.request).collect();
            assert_eq!(met.len(), in_use, "{apps} x {versions}");
        }
    }

    #[test]
    fn few_pins_of_many_are_of_all_versions() {
        let pins = Pins::new(Layout { apps: 1000, versions: 10 }, 1000);
        let versions: HashSet<_> = pins.0.iter().map(|pin| &pin.version).collect();
        assert_eq!(versions.len(), 10);
    }
}
