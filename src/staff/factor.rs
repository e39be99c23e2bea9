//! The second factor: codes of six digits from an app, by time (RFC 6238).
//!
//! Thirty seconds, six digits and SHA-1, because that is the one form that every such app knows. A code is taken half a
//! minute early or late, for clocks that are not quite right, and serves once.

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use qrcodegen::{QrCode, QrCodeEcc};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use crate::clock::Moment;

const STEP: i64 = 30;
const DIGITS: u32 = 6;

/// A shared secret: 160 bits, as RFC 4226 recommends.
pub type Secret = [u8; 20];

/// The code of a step.
fn code(secret: &[u8], step: i64) -> u32 {
    // OK because HMAC takes a key of any length.
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("a key");
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    // RFC 4226, 5.3: the last four bits say where to take 31 bits from.
    let at = usize::from(hash[19] & 0xf);
    let cut = u32::from_be_bytes([hash[at], hash[at + 1], hash[at + 2], hash[at + 3]]) & 0x7fff_ffff;
    cut % 10_u32.pow(DIGITS)
}

/// The step whose code was typed, if it is a new one: later than `used`, and not more than one step away from now.
pub fn accepted(secret: &[u8], typed: &str, now: Moment, used: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    if typed.len() != DIGITS as usize || !typed.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let current = now.seconds().div_euclid(STEP);
    let same = |step: &i64| bool::from(format!("{:06}", code(secret, *step)).as_bytes().ct_eq(typed.as_bytes()));
    (current - 1..=current + 1).filter(|step| *step > used).find(same)
}

/// The secret as people type it into an app: base32, in groups of four.
pub fn typeable(secret: &Secret) -> String {
    let text = BASE32_NOPAD.encode(secret);
    text.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect::<Vec<_>>().join(" ")
}

/// The link that an app on the same device opens. Names the newsroom only: the account's address stays out of it.
pub fn link(secret: &Secret, newsroom: &str) -> String {
    let secret = BASE32_NOPAD.encode(secret);
    let plain: String = newsroom.chars().filter(|c| *c != ':').collect();
    let url = reqwest::Url::parse_with_params("http://x/", [("secret", secret.as_str()), ("issuer", plain.as_str())]);
    let query = url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default().replace('+', "%20");
    format!("otpauth://totp/Friday?{query}")
}

/// A link as a QR code: how many squares wide with its margin, and the dark ones as the path of a picture.
pub fn squares(link: &str) -> (i32, String) {
    const MARGIN: i32 = 4;
    let Ok(code) = QrCode::encode_text(link, QrCodeEcc::Medium) else { return (1, String::new()) };
    let dark =
        (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y))).filter(|(x, y)| code.get_module(*x, *y));
    (code.size() + 2 * MARGIN, dark.map(|(x, y)| format!("M{} {}h1v1h-1z", x + MARGIN, y + MARGIN)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RFC: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, less its two leading digits.
        for (seconds, expected) in
            [(59, 287_082), (1_111_111_109, 81_804), (1_234_567_890, 5_924), (20_000_000_000, 353_130)]
        {
            assert_eq!(code(RFC, seconds / STEP), expected);
        }
    }

    #[test]
    fn a_code_serves_once_and_not_for_long() {
        let at = |seconds: i64| Moment::from_millis(seconds * 1000);
        assert_eq!(accepted(RFC, "287 082", at(59), 0), Some(1));
        assert_eq!(accepted(RFC, "287082", at(59), 1), None, "used");
        assert_eq!(accepted(RFC, "287082", at(89), 0), Some(1), "half a minute late");
        assert_eq!(accepted(RFC, "287082", at(120), 0), None, "too late");
        for bad in ["", "28708", "2870822", "abcdef", "２８７０８２"] {
            assert_eq!(accepted(RFC, bad, at(59), 0), None);
        }
    }

    #[test]
    fn an_app_can_read_the_link() {
        let link = link(b"12345678901234567890", "The Example Times");
        assert_eq!(link, "otpauth://totp/Friday?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=The%20Example%20Times");
    }
}
