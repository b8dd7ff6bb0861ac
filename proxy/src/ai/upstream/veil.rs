//! Takes the gateway's own key out of what a provider says: some repeat a key that they refuse.

use bytes::Bytes;

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

    /// The same of bytes. What is no text is not passed on as it is.
    #[must_use]
    pub fn bytes(self, bytes: Bytes) -> Bytes {
        let Some(key) = self.0 else { return bytes };
        match std::str::from_utf8(&bytes) {
            Ok(text) if text.contains(key) => text.replace(key, MASK).into(),
            _ => bytes,
        }
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
    }
}
