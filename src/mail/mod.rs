//! Mail, whatever it says: messages, the way to the mail server, and the outbox.
//!
//! Rooms write mails ([`Message`]) and put them into the [`outbox`] together with the change that causes them; the
//! outbox hands them over through the [`Mailer`]. The digest, which goes to everybody, has its own way through
//! `delivery`, over the same connections.

mod dkim;
pub mod dns;
mod field;
pub mod mailbox;
pub mod outbox;
pub mod records;
mod smtp;
// The development mailbox as a page.
pub mod web;

pub use field::{Sender, SenderError, text_field};
pub use mailbox::{Mailbox, StoredMail};
pub use smtp::Terms;

use crate::address::Address;
use crate::clock::Clock;
use crate::config::{Config, Dkim};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox as Party, MultiPart, SinglePart};

/// One mail to one reader, about something that they did.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Message {
    /// The sender, `Name <address>`; the newsroom's where missing.
    pub from: Option<String>,
    /// The recipient.
    #[serde(with = "address_text")]
    pub to: Address,
    /// One line.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part, where there is one.
    pub html: Option<String>,
    /// Further header fields, such as `List-Unsubscribe`.
    pub headers: Vec<(String, String)>,
}

/// Sealed with its message in the outbox, and nowhere else.
mod address_text {
    use super::Address;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(address: &Address, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(address.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        Address::parse(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// Who a mail is from and to on the way (RFC 5321), apart from what its header says.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Where bounces go. Letters of ASCII only.
    pub return_path: String,
    /// The recipient.
    pub to: Address,
}

/// What the mail server answered. Never its text: servers quote the address in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// RFC 5321: 250, 421, 550, …
    pub code: u16,
    /// RFC 3463: `5.1.1`, where the server gives one.
    pub enhanced: Option<String>,
}

/// Why a mail was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// 4xx about this mail: later.
    #[error("deferred: {}", .0.code)]
    Later(Reply),
    /// 5xx about this mail: never again.
    #[error("refused: {}", .0.code)]
    Never(Reply),
    /// The connection failed, or the server closes it (421), before the mail was handed over. Not the mail's fault.
    #[error("the connection to the mail server was lost")]
    Connection,
    /// The connection was lost between the final dot and its answer: the server may have the mail or not.
    #[error("the mail server's answer was lost")]
    Uncertain,
}

/// Why there is no connection to the mail server. Says what a person can mend.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there, or not in time.
    #[error("the mail server {0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// It answers but turns us away.
    #[error("the mail server {0} refuses us at {1}: {2}")]
    Refused(String, &'static str, String),
}

impl ConnectError {
    /// What is wrong in one sentence, without the server's own words: the same each time that it is.
    pub fn sentence(&self) -> String {
        match self {
            ConnectError::Unreachable(server, _) => format!("The mail server {server} cannot be reached"),
            ConnectError::Refused(server, step, _) => format!("The mail server {server} refuses us at {step}"),
        }
    }
}

/// The way out: the mail server, or the development mailbox.
#[derive(Debug, Clone)]
pub struct Mailer {
    way: Way,
    key: Option<Dkim>,
}

#[derive(Debug, Clone)]
enum Way {
    Smtp(smtp::Relays),
    Mailbox(Mailbox),
}

/// An open way for one mail after another. Dropped when it broke.
pub struct Connection {
    way: OpenWay,
}

enum OpenWay {
    Smtp(Box<smtp::Session>),
    Mailbox(Mailbox, Option<(Envelope, Vec<u8>)>),
}

impl Mailer {
    /// As the settings say: the mail server, or the mailbox where there is none.
    pub fn from_config(config: &Config, clock: &Clock) -> Mailer {
        Mailer::on_terms(config, clock, &Terms::default())
    }

    /// The same with other terms for the mail server. No setting asks for any; stories do, for a server that is silent
    /// for minutes, or has a certificate.
    pub fn on_terms(config: &Config, clock: &Clock, terms: &Terms) -> Mailer {
        let way = match &config.smtp {
            Some(first) => {
                let relays: Vec<_> = [first].into_iter().chain(&config.smtp_fallbacks).cloned().collect();
                Way::Smtp(smtp::Relays::new(&relays, config.host(), clock, terms))
            }
            None => Way::Mailbox(Mailbox::new(clock.clone())),
        };
        Mailer { way, key: config.dkim.clone() }
    }

    /// A new connection.
    pub async fn connect(&self) -> Result<Connection, ConnectError> {
        let way = match &self.way {
            Way::Smtp(relays) => OpenWay::Smtp(Box::new(relays.connect().await?)),
            Way::Mailbox(mailbox) => OpenWay::Mailbox(mailbox.clone(), None),
        };
        Ok(Connection { way })
    }

    /// Signs a mail for its sender's domain, where there is a key. The last thing that is done to it.
    pub fn sign(&self, envelope: &Envelope, message: &mut Vec<u8>) {
        if let (Some(key), Some((_, domain))) = (&self.key, envelope.return_path.rsplit_once('@')) {
            dkim::sign(key, domain, message);
        }
    }

    /// How many connections the mail server should see at once.
    pub fn connections(&self) -> usize {
        match &self.way {
            Way::Smtp(relays) => relays.connections(),
            Way::Mailbox(_) => 2,
        }
    }

    /// The development mailbox, where mails go to it.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match &self.way {
            Way::Smtp(_) => None,
            Way::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl Connection {
    /// Hands one mail over: `message` is its header and body with CRLF line ends, without dot-stuffing.
    pub async fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Result<Reply, SendError> {
        self.open(envelope).await?;
        self.body(message).await?;
        self.end(None).await
    }

    /// The first of three steps: who the mail is from and to. The one that was named to [`Connection::end`] before, if one
    /// was.
    pub async fn open(&mut self, envelope: &Envelope) -> Result<(), SendError> {
        match &mut self.way {
            OpenWay::Smtp(session) => session.open(envelope).await,
            OpenWay::Mailbox(_, open) => {
                *open = Some((envelope.clone(), Vec::new()));
                Ok(())
            }
        }
    }

    /// The second: header and body. Nothing is handed over yet; closing the connection takes it back.
    pub async fn body(&mut self, message: &[u8]) -> Result<(), SendError> {
        match &mut self.way {
            OpenWay::Smtp(session) => session.body(message).await,
            OpenWay::Mailbox(_, open) => {
                if let Some((_, body)) = open {
                    body.extend_from_slice(message);
                }
                Ok(())
            }
        }
    }

    /// The third: hands it over. Names the next mail along the way, where that saves a round trip; what is named has to be
    /// the next one to be opened here.
    pub async fn end(&mut self, next: Option<&Envelope>) -> Result<Reply, SendError> {
        match &mut self.way {
            OpenWay::Smtp(session) => session.end(next).await,
            OpenWay::Mailbox(mailbox, open) => {
                if let Some((envelope, body)) = open.take() {
                    mailbox.take(&envelope, &body);
                }
                Ok(Reply { code: 250, enhanced: Some("2.0.0".to_owned()) })
            }
        }
    }

    /// Whether naming the next mail saves a round trip.
    pub fn looks_ahead(&self) -> bool {
        matches!(&self.way, OpenWay::Smtp(session) if session.looks_ahead())
    }

    /// Whether it is of no more use: after [`SendError::Connection`] and [`SendError::Uncertain`], and after a refusal
    /// with which the server went away.
    pub fn is_broken(&self) -> bool {
        matches!(&self.way, OpenWay::Smtp(session) if session.is_broken())
    }

    /// Says goodbye.
    pub async fn quit(self) {
        if let OpenWay::Smtp(session) = self.way {
            session.quit().await;
        }
    }
}

/// Why a message cannot be made: a sender or a header that the settings got wrong.
#[derive(Debug, thiserror::Error)]
#[error("a mail cannot be made: {0}")]
pub struct BuildError(String);

impl Message {
    /// The mail as it goes over the wire, with `Auto-Submitted` (RFC 3834): a program answers here, and wants no answer
    /// from another.
    fn to_bytes(&self, sender: &str, message_id: &str, at: std::time::SystemTime) -> Result<Vec<u8>, BuildError> {
        let wrong = |error: &dyn std::fmt::Display| BuildError(error.to_string());
        let from: Party = self
            .from
            .as_deref()
            .unwrap_or(sender)
            .parse()
            .map_err(|_| BuildError("the sender is not an address".to_owned()))?;
        // The error would quote the address, so it is not passed on.
        let to = lettre::Address::new(self.to.local(), self.to.domain())
            .map_err(|_| BuildError("the recipient".to_owned()))?;
        let mut builder = lettre::Message::builder()
            .from(from)
            .to(Party::new(None, to))
            .subject(&self.subject)
            .date(at)
            .message_id(Some(message_id.to_owned()))
            .raw_header(raw("Auto-Submitted", "auto-generated")?);
        for (name, value) in &self.headers {
            builder = builder.raw_header(raw(name, value)?);
        }
        let text = SinglePart::plain(self.text.clone());
        let message = match &self.html {
            Some(html) => {
                builder.multipart(MultiPart::alternative().singlepart(text).singlepart(SinglePart::html(html.clone())))
            }
            None => builder.singlepart(text),
        };
        Ok(message.map_err(|e| wrong(&e))?.formatted())
    }
}

fn raw(name: &str, value: &str) -> Result<HeaderValue, BuildError> {
    let name =
        HeaderName::new_from_ascii(name.to_owned()).map_err(|_| BuildError(format!("{name} is not a header")))?;
    Ok(HeaderValue::new(name, value.replace(['\r', '\n'], " ")))
}

/// The address of `Name <address>`.
pub fn address_of(sender: &str) -> Option<Address> {
    let party: Party = sender.parse().ok()?;
    Address::parse(party.email.as_ref()).ok()
}
