use super::*;

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [V2_SIGNATURE, &[0x20 | command, family], &length, addresses].concat()
}

fn client(bytes: &[u8]) -> Option<SocketAddr> {
    match parse(bytes).unwrap() {
        Parsed::Complete { length, client } => {
            assert!(length <= bytes.len());
            client
        }
        Parsed::Partial => panic!("partial: {bytes:?}"),
    }
}

#[test]
fn both_versions_name_the_client() {
    let expected = Some("192.0.2.7:4711".parse().unwrap());
    assert_eq!(client(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nGET /"), expected);
    let addresses = [&[192, 0, 2, 7, 198, 51, 100, 1][..], &4711_u16.to_be_bytes(), &443_u16.to_be_bytes()];
    assert_eq!(client(&v2(1, 0x11, &addresses.concat())), expected);
    assert_eq!(
        client(b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n"),
        Some("[2001:db8::1]:4711".parse().unwrap()),
    );
}

#[test]
fn health_checks_name_nobody() {
    assert_eq!(client(b"PROXY UNKNOWN\r\n"), None);
    assert_eq!(client(&v2(0, 0x00, &[])), None);
}

#[test]
fn every_prefix_is_partial() {
    let v1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec();
    let v2 = v2(1, 0x11, &[192, 0, 2, 7, 198, 51, 100, 1, 18, 103, 1, 187]);
    for whole in [v1, v2] {
        for length in 1..whole.len() {
            assert_eq!(parse(&whole[..length]).unwrap(), Parsed::Partial, "{length}");
        }
    }
}

#[test]
fn anything_else_is_malformed() {
    for bytes in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"PROXY TCP4 192.0.2.7 not-an-address 4711 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 99999 443\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ] {
        assert!(matches!(parse(bytes), Err(ProxyHeaderError::Malformed(_))), "{bytes:?}");
    }
}
