//! DKIM signatures (RFC 6376): the sender's domain vouches for a mail's text and the fields that matter.
//!
//! Gmail, Yahoo and Microsoft want every mail to many readers signed, and RFC 8058 wants the fields for leaving in one
//! click under a signature. A relay may sign as well, or instead; then no key is set here.
//!
//! `rsa-sha256` with both canonicalisations relaxed: what relays on the way may do to space harms nothing. The octets that
//! go over the wire are what is signed. Fields that a program shows are named once more than they occur, so that nobody
//! can add a second one.

use crate::config::Dkim;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use data_encoding::BASE64;
use memchr::{memchr, memmem};
use std::borrow::Cow;
use std::fmt::Write;

/// The fields that are signed, if they are there.
const FIELDS: [&str; 15] = [
    "from",
    "from",
    "to",
    "to",
    "subject",
    "subject",
    "date",
    "date",
    "reply-to",
    "message-id",
    "mime-version",
    "content-type",
    "list-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
];
/// How much of the signature stands on a line.
const FOLD: usize = 70;

/// Signs a mail in place, for the domain of its sender. `message` is header and body with CRLF line ends.
pub(super) fn sign(key: &Dkim, domain: &str, message: &mut Vec<u8>) {
    let split = memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let (header, rest) = message.split_at(split);
    let body = rest.strip_prefix(b"\r\n").unwrap_or(rest);
    let mut field = format!(
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain};\r\n s={}; h={};\r\n bh={};\r\n b=",
        key.selector,
        FIELDS.join(":\r\n\t"),
        BASE64.encode(body_hash(body).as_ref()),
    );
    let mut signed = signed_fields(header);
    // RFC 6376, 3.7: the signature's own field comes last, with nothing behind b= and no line end.
    relaxed_field(&mut signed, field.as_bytes());
    let mut signature = vec![0; key.pair.public_modulus_len()];
    // OK because it fails only for a buffer of another size, or without memory.
    key.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &signed, &mut signature).expect("a signature");
    for (at, some) in BASE64.encode(&signature).as_bytes().chunks(FOLD).enumerate() {
        let fold = if at == 0 { "" } else { "\r\n\t" };
        // OK because base64 is ASCII, and writing to a String cannot fail.
        write!(field, "{fold}{}", std::str::from_utf8(some).expect("ASCII")).expect("memory");
    }
    field.push_str("\r\n");
    message.splice(0..0, field.into_bytes());
}

/// The signed fields in relaxed form (RFC 6376, 3.4.2 and 5.4.2), each with its line end. A name that stands twice in the
/// list takes the last such field, then the one above it; where there is none, nothing.
fn signed_fields(header: &[u8]) -> Vec<u8> {
    let mut fields = unfolded(header);
    let mut out = Vec::with_capacity(header.len() + 1_024);
    for name in FIELDS {
        let is_named = |field: &&[u8]| {
            field.split_at_checked(name.len()).is_some_and(|(start, rest)| {
                start.eq_ignore_ascii_case(name.as_bytes()) && rest.trim_ascii_start().first() == Some(&b':')
            })
        };
        if let Some(at) = fields.iter().rposition(is_named) {
            relaxed_field(&mut out, fields.remove(at));
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// A header's fields, each with its continuation lines and without its last line end.
fn unfolded(header: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut from = 0;
    for at in memmem::find_iter(header, b"\r\n") {
        if !matches!(header.get(at + 2), Some(b' ' | b'\t')) {
            fields.push(&header[from..at]);
            from = at + 2;
        }
    }
    fields
}

/// `Name :  value` as `name:value`, on one line, with single spaces.
fn relaxed_field(out: &mut Vec<u8>, field: &[u8]) {
    let colon = field.iter().position(|octet| *octet == b':').unwrap_or(field.len());
    out.extend(field[..colon].trim_ascii_end().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut words = field.get(colon + 1..).unwrap_or_default().split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
    if let Some(first) = words.next() {
        out.extend_from_slice(first);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

/// SHA-256 of the body in relaxed form (RFC 6376, 3.4.4): space at the ends of lines and empty lines at the end are
/// nothing, other space is one space.
fn body_hash(body: &[u8]) -> Digest {
    let relaxed = if is_relaxed(body) { Cow::Borrowed(body) } else { Cow::Owned(relaxed_body(body)) };
    let mut text = relaxed.as_ref();
    while text.ends_with(b"\r\n\r\n") {
        text = &text[..text.len() - 2];
    }
    digest(&SHA256, if text == b"\r\n" { b"" } else { text })
}

/// Whether every line has this form already, as in nearly every mail that Friday writes: it is hashed where it stands.
/// Looking costs a tenth of writing it anew.
fn is_relaxed(body: &[u8]) -> bool {
    (body.is_empty() || body.ends_with(b"\r\n"))
        && memchr(b'\t', body).is_none()
        && [b"  ", b" \r"].iter().all(|space| memmem::find(body, *space).is_none())
}

fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 2);
    let mut from = 0;
    for at in memmem::find_iter(body, b"\r\n") {
        relaxed_line(&mut out, &body[from..at]);
        from = at + 2;
    }
    if from < body.len() {
        relaxed_line(&mut out, &body[from..]);
    }
    out
}

fn relaxed_line(out: &mut Vec<u8>, line: &[u8]) {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t');
    let end = line.iter().rposition(|octet| !is_space(octet)).map_or(0, |at| at + 1);
    for word in line[..end].chunk_by(|a, b| is_space(a) == is_space(b)) {
        out.extend_from_slice(if is_space(&word[0]) { b" " } else { word });
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relaxed_fields_are_those_of_the_standard() {
        // RFC 6376, 3.4.5, example 1.
        let mut out = Vec::new();
        relaxed_field(&mut out, b"A: X ");
        relaxed_field(&mut out, b"B : Y\t\r\n\tZ  ");
        assert_eq!(out, b"a:Xb:Y Z");
    }

    #[test]
    fn relaxed_bodies_are_those_of_the_standard() {
        for (body, relaxed) in [
            // RFC 6376, 3.4.5, example 1.
            (&b" C \r\nD \t E\r\n\r\n\r\n"[..], &b" C\r\nD E\r\n"[..]),
            (b"", b""),
            (b"\r\n\r\n", b""),
            (b"a\t\t b", b"a b\r\n"),
            (b"a b\r\n c\r\n\r\n", b"a b\r\n c\r\n"),
            // Only both together end a line (RFC 5322, 2.3).
            (b"a \n\nb\r \r\n", b"a \n\nb\r\r\n"),
        ] {
            assert_eq!(body_hash(body).as_ref(), digest(&SHA256, relaxed).as_ref(), "{body:?}");
        }
    }

    #[test]
    fn a_body_that_is_hashed_where_it_stands_is_its_own_relaxed_form() {
        let mut as_it_stands = 0;
        // Every body of seven of the octets that matter.
        for nth in 0..5_usize.pow(7) {
            let body: Vec<u8> = (0..7).map(|at| b"a \t\r\n"[nth / 5_usize.pow(at) % 5]).collect();
            if is_relaxed(&body) {
                as_it_stands += 1;
                assert_eq!(relaxed_body(&body), body);
            }
        }
        assert!(as_it_stands > 100, "{as_it_stands}");
    }

    #[test]
    fn of_two_fields_of_a_name_the_last_is_signed_first() {
        let header = b"From: a\r\nSubject: one\r\nsubject : two\r\n more\r\nX-Other: y\r\n";
        assert_eq!(signed_fields(header), b"from:a\r\nsubject:two more\r\nsubject:one\r\n");
    }
}
