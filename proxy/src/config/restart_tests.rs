use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::config::parse;

fn changed(old: &str, new: &str) -> Vec<String> {
    let config = |server: &str| {
        let text = format!("server: {{{server}}}");
        parse(&text, Path::new("lockstep.yaml"), &HashMap::new()).unwrap()
    };
    needs_restart(&config(old), &config(new))
}

#[test]
fn what_stays_until_a_restart_is_named() {
    let base = "listen: [{addr: '127.0.0.1:80'}, {addr: '127.0.0.1:81'}]";
    let cases: &[(&str, &[&str])] = &[
        (base, &[]),
        ("listen: [{addr: '127.0.0.1:81'}, {addr: '127.0.0.1:80'}]", &[]),
        ("limits: {connections: 5}, listen: [{addr: '127.0.0.1:80'}, {addr: '127.0.0.1:81'}]", &[]),
        ("listen: [{addr: '127.0.0.1:80'}]", &["server.listen: 127.0.0.1:81 removed"]),
        (
            "listen: [{addr: '127.0.0.1:80', redirect_https: true, proxy_protocol: true}, {addr: '127.0.0.1:82'}]",
            &[
                "server.listen: redirect_https of 127.0.0.1:80",
                "server.listen: proxy_protocol of 127.0.0.1:80",
                "server.listen: 127.0.0.1:81 removed",
                "server.listen: 127.0.0.1:82 added",
            ],
        ),
        (
            "data_dir: d, threads: 2, admin: {addr: '127.0.0.1:1'}, listen: [{addr: '127.0.0.1:80'}, {addr: '127.0.0.1:81'}]",
            &["server.data_dir", "server.threads", "server.admin.addr"],
        ),
    ];
    for (new, expected) in cases {
        assert_eq!(changed(base, new), *expected, "{new}");
    }
}
