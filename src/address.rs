//! E-mail addresses, checked once and never printed.
//!
//! An address is the most dangerous thing that Friday handles, so it has a type of its own: it can only be made by
//! [`Address::parse`], it prints itself as `a***@e***`, and whoever needs the text says so with [`Address::as_str`].
//!
//! The syntax is a strict part of RFC 5321 with RFC 6531's internationalised domains: what a newsroom's readers
//! have, and nothing that a mail server would take for something else (quoted local parts, address literals,
//! comments, line breaks).

use std::fmt;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroize;

/// The longest address, in octets (RFC 5321, 4.5.3.1.3, less the angle brackets).
pub const MAX_LENGTH: usize = 254;
/// The longest local part, in octets (RFC 5321, 4.5.3.1.1).
pub const MAX_LOCAL: usize = 64;

/// A checked address: NFC, its domain in lower-case ASCII (IDNA).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    at: usize,
}

/// Why a text is not an address Friday can write to. None of these quotes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing was given.
    #[error("an address is missing")]
    Empty,
    /// No `@`, or nothing on one side of it.
    #[error("an address has one @ with something on both sides")]
    NoAt,
    /// More than 64 octets before the `@`, or more than 254 in all.
    #[error("the address is too long")]
    TooLong,
    /// A character or an order of dots that no mailbox has.
    #[error("the part before the @ has a character or a dot where none can be")]
    Local,
    /// Not the name of a mail domain.
    #[error("the part after the @ is not a domain name")]
    Domain,
}

impl Address {
    /// Reads an address as a person types it: surrounding space is dropped, the domain is put into its ASCII form.
    pub fn parse(typed: &str) -> Result<Address, AddressError> {
        // No address is longer in any form of Unicode than some four times its limit: do no work on a novel.
        if typed.len() > 4 * MAX_LENGTH {
            return Err(AddressError::TooLong);
        }
        let text: String = typed.trim().nfc().collect();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::NoAt);
        }
        check_local(local)?;
        let domain = ascii_domain(domain)?;
        let text = format!("{local}@{domain}");
        if text.len() > MAX_LENGTH {
            return Err(AddressError::TooLong);
        }
        Ok(Address { at: local.len(), text })
    }

    /// The address itself. Every use of this is a place to look at in review.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What two spellings of one mailbox share: lower case. RFC 5321 lets a server tell `Anna` from `anna`; none that
    /// readers use does, and a second sign-up in capitals must not be a second reader.
    pub fn canonical(&self) -> String {
        self.text.to_lowercase()
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// The domain, in lower-case ASCII.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }
}

fn check_local(local: &str) -> Result<(), AddressError> {
    if local.len() > MAX_LOCAL {
        return Err(AddressError::TooLong);
    }
    if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
        return Err(AddressError::Local);
    }
    // RFC 5322's atext, its dot, and RFC 6532's letters beyond ASCII.
    let fits = |c: char| {
        c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
    };
    if local.chars().all(fits) { Ok(()) } else { Err(AddressError::Local) }
}

fn ascii_domain(domain: &str) -> Result<String, AddressError> {
    let ascii = idna::domain_to_ascii_strict(domain).map_err(|_| AddressError::Domain)?;
    let labels: Vec<&str> = ascii.split('.').collect();
    // OK because split always yields at least one item.
    let top = labels.last().expect("a last label");
    let is_host = labels.len() >= 2
        && labels.iter().all(|l| !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && !l.ends_with('-'))
        && ascii.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        // 192.0.2.1 is an address of a machine, not a domain.
        && !top.bytes().all(|b| b.is_ascii_digit());
    if is_host { Ok(ascii) } else { Err(AddressError::Domain) }
}

/// `a***@e***`: enough to tell two lines of a log apart, too little to name anybody.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = |s: &str| s.chars().next().unwrap_or('*');
        write!(f, "{}***@{}***", first(self.local()), first(self.domain()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_readers_have_is_taken() {
        for (typed, kept) in [
            ("anna@example.org", "anna@example.org"),
            ("  Anna@Example.ORG \n", "Anna@example.org"),
            ("a+news@example.org", "a+news@example.org"),
            ("o'brien@example.ie", "o'brien@example.ie"),
            ("x@sub.domain.example", "x@sub.domain.example"),
            ("anna@пример.рф", "anna@xn--e1afmkfd.xn--p1ai"),
            ("анна@пример.рф", "анна@xn--e1afmkfd.xn--p1ai"),
            ("jose\u{301}@example.org", "jos\u{e9}@example.org"),
        ] {
            assert_eq!(Address::parse(typed).unwrap().as_str(), kept, "{typed}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        use AddressError::*;
        let long_local = format!("{}@example.org", "a".repeat(65));
        let labels = ["b", "c", "d", "e"].map(|l| l.repeat(57)).join(".");
        let long = format!("{}@{labels}.org", "a".repeat(20));
        for (typed, why) in [
            ("", Empty),
            ("   ", Empty),
            ("anna", NoAt),
            ("@example.org", NoAt),
            ("anna@", NoAt),
            (".joe@example.com", Local),
            ("joe.@example.com", Local),
            ("joe..x@example.com", Local),
            ("a b@example.org", Local),
            ("a@b@example.org", Local),
            ("\"a\"@example.org", Local),
            ("a\r\nBcc: b@example.org", Local),
            ("a,b@example.org", Local),
            ("a<b@example.org", Local),
            ("joe@localhost", Domain),
            ("joe@[127.0.0.1]", Domain),
            ("joe@127.0.0.1", Domain),
            ("joe@example.org.", Domain),
            ("joe@-example.org", Domain),
            ("joe@exa mple.org", Domain),
            ("joe@example.org\r\nBcc: x", Domain),
            ("joe@exa_mple.org", Domain),
            (long_local.as_str(), TooLong),
            (long.as_str(), TooLong),
        ] {
            assert_eq!(Address::parse(typed).err(), Some(why), "{typed:?}");
        }
    }

    #[test]
    fn it_never_prints_itself() {
        let address = Address::parse("anna@example.org").unwrap();
        assert_eq!(format!("{address} {address:?}"), "a***@e*** a***@e***");
    }
}
