use std::collections::HashMap;
use std::path::Path;

use super::*;
use crate::config::{Config, ConfigErrors, parse};

fn read(dir: &Path, secret: &str) -> Result<Config, ConfigErrors> {
    let environment =
        HashMap::from([("SET".to_owned(), "from-env".to_owned()), ("EMPTY".to_owned(), String::new())]);
    let text =
        format!("server: {{listen: [{{addr: '127.0.0.1:0'}}], admin: {{metrics: {{token: {secret}}}}}}}");
    parse(&text, &dir.join("lockstep.yaml"), &environment)
}

#[test]
fn a_secret_has_one_source() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("unix"), "from-file\n").unwrap();
    std::fs::write(dir.path().join("dos"), "from-file\r\n").unwrap();
    let cases = [
        ("{env: SET}", "from-env"),
        ("{file: unix}", "from-file"),
        ("{file: dos}", "from-file"),
        ("{value: here}", "here"),
    ];
    for (secret, expected) in cases {
        let config = read(dir.path(), secret).unwrap();
        let read = config.server.admin.metrics_token.as_ref().unwrap();
        assert_eq!(read.expose(), expected);
        assert_eq!(format!("{read} {read:?}"), "*** ***");
        assert!(!config.to_masked_json().to_string().contains(expected), "{secret}");
        assert_eq!(config.files().len(), usize::from(secret.contains("file")));
    }
}

#[test]
fn a_wrong_secret_is_refused_and_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in
        [("empty", "\n"), ("lines", "hunter2\nhunter2\n"), ("large", &"hunter2".repeat(20_000))]
    {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let cases = [
        ("hunter2", "must be a mapping"),
        ("{hunter2: x}", "must be a mapping"),
        ("[hunter2]", "must be a mapping"),
        ("{}", "exactly one"),
        ("{env: SET, value: hunter2}", "exactly one"),
        ("{env: UNSET}", "UNSET is not set"),
        ("{env: EMPTY}", "empty"),
        ("{value: ''}", "empty"),
        ("{value: 'hunter2 hunter2'}", "blanks"),
        ("{file: absent}", "cannot be read"),
        ("{file: '.'}", "is not a file"),
        ("{file: empty}", "empty"),
        ("{file: lines}", "blanks"),
        ("{file: large}", "larger than 64KiB"),
        ("{value: {hunter2: x}}", "single value"),
    ];
    for (secret, part) in cases {
        let errors = read(dir.path(), secret).unwrap_err().to_string();
        assert!(errors.contains(part), "{secret}: {errors}");
        assert!(!errors.contains("hunter2"), "{errors}");
    }
}

#[test]
fn secrets_are_compared_as_a_whole() {
    let secret = Secret::from_value("hunter2".to_owned());
    assert!(secret.matches(b"hunter2"));
    for given in ["", "hunter", "hunter22", "Hunter2"] {
        assert!(!secret.matches(given.as_bytes()));
    }
    assert_eq!(secret, Secret::from_value("hunter2".to_owned()));
    assert_ne!(secret, Secret::from_value("hunter3".to_owned()));
}
