//! Takes the gateway's own key out of what a provider says: some repeat a key that they refuse.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

use crate::config::ai::model::Provider;
use crate::config::secret::Secret;

const MASK: &str = "***";

/// A shorter key would be found within words.
const SHORTEST: usize = 8;

/// What hides a provider's key.
#[derive(Clone, Copy)]
pub struct Veil<'k>(Option<&'k str>);

impl<'k> Veil<'k> {
    /// The veil over the key that is configured for a provider.
    #[must_use]
    pub fn of(provider: &'k Provider) -> Self {
        Self(provider.api_key.as_ref().map(Secret::expose).filter(|key| key.len() >= SHORTEST))
    }

    /// A text without the key.
    #[must_use]
    pub fn text(self, text: String) -> String {
        match self.0 {
            Some(key) if text.contains(key) => text.replace(key, MASK),
            _ => text,
        }
    }

    /// The same of bytes, be they a text or not.
    #[must_use]
    pub fn bytes(self, bytes: Bytes) -> Bytes {
        let Some(key) = self.0 else { return bytes };
        let mut shown = BytesMut::new();
        let mut from = 0;
        for at in memmem::find_iter(&bytes, key) {
            shown.extend_from_slice(&bytes.slice(from..at));
            shown.extend_from_slice(MASK.as_bytes());
            from = at + key.len();
        }
        if from == 0 {
            return bytes;
        }
        shown.extend_from_slice(&bytes.slice(from..));
        shown.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hidden_wherever_it_stands() {
        let cases = [
            (Some("sk-0123456789"), "Bearer sk-0123456789, sk-0123456789.", "Bearer ***, ***."),
            (Some("sk-0123456789"), "sk-012345678", "sk-012345678"),
            (Some("sk-0123456789"), "", ""),
            (None, "sk-0123456789", "sk-0123456789"),
        ];
        for (key, said, expected) in cases {
            assert_eq!(Veil(key).text(said.to_owned()), expected);
            assert_eq!(Veil(key).bytes(Bytes::from_static(said.as_bytes())), expected);
        }
        let no_text = Bytes::from_static(b"caf\xe9 sk-0123456789 sk-0123456789\xff");
        assert_eq!(Veil(Some("sk-0123456789")).bytes(no_text), &b"caf\xe9 *** ***\xff"[..]);
    }
}
