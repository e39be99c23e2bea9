//! Header fields as they go over the wire, for mails that are not built one by one: the digest writes its header once and
//! copies it.

use crate::address::Address;
use lettre::message::header::{From as FromField, HeaderName, HeaderValue, Headers};
use lettre::message::{Mailbox as Party, Mailboxes};

/// Whose mail it is: `Name <address>`.
#[derive(Clone, Debug)]
pub struct Sender {
    party: Party,
    domain: String,
}

/// A sender that the settings got wrong.
#[derive(Debug, thiserror::Error)]
#[error("the newsletter's sender is not \"Name <address>\"")]
pub struct SenderError;

impl Sender {
    /// Reads `Name <address>`; the domain is put into its ASCII form. It may be a machine's bare name, as `localhost` is
    /// while Friday is being tried out: readers' addresses may not.
    pub fn parse(text: &str) -> Result<Sender, SenderError> {
        let party: Party = text.parse().map_err(|_| SenderError)?;
        let domain = match Address::parse(party.email.as_ref()) {
            Ok(address) => address.domain().to_owned(),
            Err(_) if party.email.domain().is_ascii() => party.email.domain().to_ascii_lowercase(),
            Err(_) => return Err(SenderError),
        };
        let email = lettre::Address::new(party.email.user(), &domain).map_err(|_| SenderError)?;
        Ok(Sender { party: Party::new(party.name, email), domain })
    }

    /// The same address under another name.
    #[must_use]
    pub fn named(&self, name: &str) -> Sender {
        Sender { party: Party::new(Some(name.to_owned()), self.party.email.clone()), domain: self.domain.clone() }
    }

    /// The domain, ASCII.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The field `From`, with its line end.
    pub fn from_field(&self) -> String {
        let mut headers = Headers::new();
        headers.set(FromField::from(Mailboxes::from(self.party.clone())));
        headers.to_string()
    }
}

/// A field of text, encoded (RFC 2047) and folded, with its line end. Control characters become spaces: what a person
/// typed begins no field of its own.
pub fn text_field(name: &'static str, text: &str) -> String {
    let mut headers = Headers::new();
    let text = text.replace(char::is_control, " ");
    headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), text.trim().to_owned()));
    headers.to_string()
}
