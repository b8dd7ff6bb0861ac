use std::fs;

use super::*;

fn write(dir: &Path, stem: &str, names: &[&str]) -> CertificateFiles {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let files =
        CertificateFiles { cert: dir.join(format!("{stem}.crt")), key: dir.join(format!("{stem}.key")) };
    fs::write(&files.cert, made.cert.pem()).unwrap();
    fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

#[test]
fn the_name_chooses_the_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls {
        certificates: vec![
            write(dir.path(), "a", &["a.example"]),
            write(dir.path(), "b", &["b.example", "*.b.example"]),
        ],
    };
    let set = Set::load(&tls).unwrap();
    let chosen = |name: &str| {
        let key = set.find(name).unwrap();
        names(&key).first().cloned().unwrap()
    };
    assert_eq!(chosen("a.example"), "a.example");
    assert_eq!(chosen("b.example"), "b.example");
    assert_eq!(chosen("www.b.example"), "b.example");
    assert_eq!(chosen("deep.www.b.example"), "a.example");
    assert_eq!(chosen(""), "a.example");
}

#[test]
fn a_failed_reload_keeps_the_old_ones() {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls { certificates: vec![write(dir.path(), "a", &["a.example"])] };
    let certificates = Certificates::load(&tls).unwrap();
    fs::write(&tls.certificates[0].cert, "junk").unwrap();
    assert!(matches!(certificates.reload(&tls), Err(CertificateError::Empty { .. })));
    assert!(certificates.set.load().find("a.example").is_some());

    write(dir.path(), "a", &["new.example"]);
    certificates.reload(&tls).unwrap();
    assert_eq!(names(&certificates.set.load().find("").unwrap()), ["new.example"]);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = write(dir.path(), "a", &["a.example"]);
    files.key = write(dir.path(), "b", &["b.example"]).key;
    let load = |files: &CertificateFiles| Set::load(&Tls { certificates: vec![files.clone()] }).unwrap_err();
    assert!(matches!(load(&files), CertificateError::Invalid { .. }));
    files.key = dir.path().join("absent");
    assert!(matches!(load(&files), CertificateError::Unreadable { .. }));
}
