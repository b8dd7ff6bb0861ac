//! Looks at the first line of a request while it is read. Pingora encodes what must not stand in
//! it and parses again, so that nothing later could tell; an edge should refuse it (RFC 9112, 3).

/// How much of the line was seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestLine {
    spaces: u8,
    begun: bool,
    ended: bool,
}

impl RequestLine {
    /// A line that is judged already.
    #[must_use]
    pub fn seen() -> Self {
        Self { ended: true, ..Self::default() }
    }

    /// Takes the next bytes of the head; false if the line can't be one. Bytes beyond ASCII are
    /// left to the app, as other proxies do.
    #[must_use]
    pub fn feed(&mut self, bytes: &[u8]) -> bool {
        if self.ended {
            return true;
        }
        for byte in bytes {
            match byte {
                b'\r' => {}
                // Empty lines before the first are allowed (RFC 9112, 2.2).
                b'\n' if !self.begun => {}
                b'\n' => {
                    self.ended = true;
                    return true;
                }
                b' ' if self.spaces < 2 => self.spaces += 1,
                0x21..=0x7e | 0x80.. => self.begun = true,
                _ => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_judged_in_any_pieces() {
        let cases: [(&[u8], bool); 9] = [
            (b"GET / HTTP/1.1\r\nA: \x01", true),
            (b"\r\nGET /\xc3\xbc HTTP/1.1\r\n", true),
            (b"GET / HTTP/1.1\n", true),
            (b"GET /\x01 HTTP/1.1\r\n", false),
            (b"GET /\x7f HTTP/1.1\r\n", false),
            (b"GET /a b HTTP/1.1\r\n", false),
            (b"GET  / HTTP/1.1\r\n", false),
            (b"GET /\t HTTP/1.1\r\n", false),
            (b"\x16\x03\x01\x02\x00", false),
        ];
        for (bytes, expected) in cases {
            for size in [1, 3, bytes.len()] {
                let mut line = RequestLine::default();
                assert_eq!(bytes.chunks(size).all(|piece| line.feed(piece)), expected, "{bytes:?}");
            }
        }
    }
}
