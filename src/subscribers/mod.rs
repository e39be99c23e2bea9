//! Who reads: sign-up with double opt-in, preferences, pause, leaving, suppression.
//!
//! Somebody who has not pressed the button in the mail does not exist here: the link itself carries their sealed
//! address. Whoever asks about an address, known or not, paused or gone, gets the same answer in the same time, and the
//! truth goes to the mailbox, where only its owner reads it. A GET changes nothing, because mail scanners follow links.
//!
//! Links are sealed tokens for one purpose, different in each mail, with no address and no id to be read from them.

pub mod cli;
pub mod import;
pub mod mail;
mod preferences;
mod slip;
pub mod store;
pub mod task;
pub mod web;

use crate::address::Address;
use crate::clock::{DAY, Moment};
use crate::keys::{Drawer, KeyError, Keys, LinkError};
use crate::words::Language;
use std::time::Duration;

/// How long the button in a confirmation mail works.
pub const CONFIRM_LIFE: Duration = Duration::from_secs(72 * 3600);
/// How long the mark of somebody who left or bounced is kept.
pub const SUPPRESSED_FOR: Duration = Duration::from_secs(730 * DAY.as_secs());
/// How long it is known which reader became which by a move: longer than an issue is on its way.
pub const MOVE_KEPT: Duration = Duration::from_secs(35 * DAY.as_secs());
/// The pauses that can be chosen, in weeks.
pub const PAUSES: [i64; 5] = [1, 2, 4, 8, 12];

const CONFIRM: &str = "confirm";
const UNSUBSCRIBE: &str = "unsubscribe";
const PREFERENCES: &str = "preferences";
const MOVE: &str = "move";

/// How a reader wants the digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "TEXT", rename_all = "lowercase")]
pub enum Edition {
    /// The whole text in the mail, readable where the site is blocked.
    #[default]
    Full,
    /// Headlines and links.
    Links,
    /// Text alone.
    Plain,
}

impl Edition {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Edition; 3] = [Edition::Full, Edition::Links, Edition::Plain];

    /// The name in forms and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Edition::Full => "full",
            Edition::Links => "links",
            Edition::Plain => "plain",
        }
    }

    /// The edition of that name.
    pub fn parse(name: &str) -> Option<Edition> {
        Edition::ALL.into_iter().find(|edition| edition.as_str() == name)
    }
}

/// Why nobody is to write to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// They unsubscribed.
    Left,
    /// The mailbox does not exist.
    Bounced,
    /// They called it spam.
    Complained,
}

impl Reason {
    /// The name in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Left => "left",
            Reason::Bounced => "bounced",
            Reason::Complained => "complained",
        }
    }
}

/// What we know of an address at a sign-up. Each has a mail of its own; the page is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    New,
    /// They read this newsletter already.
    Reading,
    /// They read it already and have paused it.
    Paused,
    /// They left, or their mailbox could not be reached.
    Suppressed,
}

/// What a confirmation link carries.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Request {
    address: String,
    /// The newsletter's slug.
    pub newsletter: String,
    /// The language of the page on which they signed up.
    pub language: Language,
}

/// What the link to a new address carries. A reader gets a new id with each move, so that an older link moves nobody.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Move {
    reader: i64,
    to: String,
}

/// A reader, as a link in one of their mails names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberId(pub i64);

/// The link behind "Unsubscribe" and in `List-Unsubscribe` (RFC 8058). Works for ever.
pub fn unsubscribe_link(keys: &Keys, base_url: &str, subscriber: i64, newsletter: &str, issue: i64) -> String {
    let token = keys.link(UNSUBSCRIBE, None, &(subscriber, newsletter, issue));
    format!("{base_url}/unsubscribe/{token}")
}

/// Whom, which newsletter and which issue the token of such a link names.
pub fn read_unsubscribe(keys: &Keys, token: &str, now: Moment) -> Result<(i64, String, i64), LinkError> {
    keys.read_link(UNSUBSCRIBE, token, now)
}

/// The link to a reader's preferences.
pub fn preferences_link(keys: &Keys, base_url: &str, subscriber: i64, issue: i64) -> String {
    let token = keys.link(PREFERENCES, None, &(subscriber, issue));
    format!("{base_url}/preferences/{token}")
}

/// A reader's address, opened.
pub fn open_address(keys: &Keys, subscriber: i64, sealed: &[u8]) -> Result<Address, KeyError> {
    let plain = keys.open(Drawer::Subscribers, &subscriber.to_be_bytes(), sealed)?;
    let text = String::from_utf8(plain).map_err(|_| KeyError::DoesNotOpen)?;
    Address::parse(&text).map_err(|_| KeyError::DoesNotOpen)
}
