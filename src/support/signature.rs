//! Whether a webhook comes from Stripe: the scheme of its `Stripe-Signature` header.
//!
//! While a secret is rolled, Stripe signs with both for up to a day, so one header carries several `v1`. Each is held
//! against every configured secret, in constant time. Other schemes (`v0`) never count.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::clock::Moment;

/// How old a signature may be, and how far ahead its clock may run.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Why a webhook is not believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// No header, or not in Stripe's form.
    #[error("the Stripe-Signature header is missing or malformed")]
    Malformed,
    /// Signed more than [`TOLERANCE`] ago, or ahead.
    #[error("the signature's time is more than 300 seconds away")]
    Stale,
    /// No `v1` fits any secret.
    #[error("no signature fits")]
    Wrong,
}

/// Checks the raw `body` against `header` and every secret.
///
/// # Errors
/// See [`SignatureError`]; all of them mean that nothing of the body may be believed.
pub fn check(header: Option<&str>, body: &[u8], secrets: &[SecretString], now: Moment) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Malformed)?;
    let mut signed_at = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", seconds)) => signed_at = Some(seconds),
            Some(("v1", hex)) => signatures.extend(data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes())),
            _ => {}
        }
    }
    // The text as it was sent is what was signed, so it is kept beside the number.
    let text = signed_at.ok_or(SignatureError::Malformed)?;
    let seconds: i64 = text.parse().map_err(|_| SignatureError::Malformed)?;
    if signatures.is_empty() {
        return Err(SignatureError::Malformed);
    }

    let fits = secrets.iter().any(|secret| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return false };
        mac.update(text.as_bytes());
        mac.update(b".");
        mac.update(body);
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    });
    if !fits {
        return Err(SignatureError::Wrong);
    }
    // After the comparison, so that the answer to a stranger tells nothing about our clock.
    let away = (now.millis() / 1_000).abs_diff(seconds);
    if away > TOLERANCE.as_secs() {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_760_680_800;

    fn sign(secret: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(body);
        data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    fn checked(header: &str, body: &[u8], secrets: &[&str]) -> Result<(), SignatureError> {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).to_owned().into()).collect();
        check(Some(header), body, &secrets, Moment::from_millis(NOW * 1_000 + 999))
    }

    #[test]
    fn a_fresh_signature_of_the_raw_body_is_believed() {
        let good = format!("t={NOW},v1={}", sign("whsec_a", NOW, b"{}"));
        assert_eq!(checked(&good, b"{}", &["whsec_a"]), Ok(()));
        assert_eq!(checked(&good, b"{} ", &["whsec_a"]), Err(SignatureError::Wrong));
        assert_eq!(checked(&good, b"{}", &["whsec_b"]), Err(SignatureError::Wrong));
        assert_eq!(checked(&good, b"{}", &[]), Err(SignatureError::Wrong));
    }

    #[test]
    fn while_a_secret_is_rolled_either_signature_and_either_secret_do() {
        let (old, new) = (sign("whsec_old", NOW, b"{}"), sign("whsec_new", NOW, b"{}"));
        let wrong = sign("whsec_other", NOW, b"{}");
        for header in [
            format!("t={NOW},v1={old},v1={wrong}"),
            format!("t={NOW},v1={wrong},v1={old}"),
            format!("t={NOW}, v1={new} ,v0=aa,v1={old}"),
        ] {
            assert_eq!(checked(&header, b"{}", &["whsec_new", "whsec_old"]), Ok(()));
            assert_eq!(checked(&header, b"{}", &["whsec_old"]), Ok(()));
        }
        assert_eq!(
            checked(&format!("t={NOW},v1={wrong},v1={wrong}"), b"{}", &["whsec_new", "whsec_old"]),
            Err(SignatureError::Wrong)
        );
    }

    #[test]
    fn three_hundred_seconds_are_believed_and_one_more_is_not() {
        for (seconds, expected) in
            [(NOW - 300, Ok(())), (NOW - 301, Err(SignatureError::Stale)), (NOW + 301, Err(SignatureError::Stale))]
        {
            assert_eq!(checked(&format!("t={seconds},v1={}", sign("s", seconds, b"x")), b"x", &["s"]), expected);
        }
    }

    #[test]
    fn other_schemes_and_broken_headers_do_not_count() {
        let right = sign("s", NOW, b"x");
        assert_eq!(checked(&format!("t={NOW},v0={right}"), b"x", &["s"]), Err(SignatureError::Malformed));
        assert_eq!(checked(&format!("v1={right}"), b"x", &["s"]), Err(SignatureError::Malformed));
        assert_eq!(checked(&format!("t=soon,v1={right}"), b"x", &["s"]), Err(SignatureError::Malformed));
        assert_eq!(checked(&format!("t={NOW},v1="), b"x", &["s"]), Err(SignatureError::Wrong));
        assert_eq!(checked(&format!("t={NOW},v1=zz"), b"x", &["s"]), Err(SignatureError::Malformed));
        assert_eq!(checked("", b"x", &["s"]), Err(SignatureError::Malformed));
    }
}
