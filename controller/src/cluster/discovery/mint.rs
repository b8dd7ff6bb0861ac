//! Version ids made from images, for Deployments that carry none.

use sha2::{Digest as _, Sha256};

use crate::VersionId;

const PREFIX: &str = "plt_";
/// Digits kept of the digest.
const LENGTH: usize = 24;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The id of a resolved image (`image@sha256:…`): the same for the same image, always.
pub(super) fn mint(image: &str) -> Option<VersionId> {
    let digits = base62(Sha256::digest(image.as_bytes()).into());
    format!("{PREFIX}{}", digits.get(..LENGTH)?).parse().ok()
}

/// A number of 256 bits, its highest byte first, in base 62.
fn base62(mut number: [u8; 32]) -> String {
    let mut digits = Vec::new();
    while number.iter().any(|byte| *byte > 0) {
        let mut rest: u16 = 0;
        for byte in &mut number {
            let part = (rest << 8) | u16::from(*byte);
            // Less than 256, as the rest is less than 62.
            *byte = u8::try_from(part / 62).unwrap_or(u8::MAX);
            rest = part % 62;
        }
        digits.push(DIGITS.get(usize::from(rest)).copied().unwrap_or(b'0'));
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_base_62() {
        let mut number = [0; 32];
        number[31] = 61;
        assert_eq!(base62(number), "z");
        number[30] = 1;
        // 256 + 61 = 5 * 62 + 7
        assert_eq!(base62(number), "57");
    }

    #[test]
    fn an_image_has_one_id() {
        let one = mint("shop:1@sha256:aa").unwrap();
        assert_eq!(one, mint("shop:1@sha256:aa").unwrap());
        assert_ne!(one, mint("shop:1@sha256:ab").unwrap());
        assert_eq!((one.as_str().len(), one.as_str().starts_with("plt_")), (28, true));
    }
}
