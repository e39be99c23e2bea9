//! The letters of one issue, made from its frozen editions when the first reader is due.

use super::mail::{Body, Letter, Marks, Own};
use crate::address::Address;
use crate::app::Shared;
use crate::clock::Moment;
use crate::digest;
use crate::mail::{Envelope, Sender, SenderError};
use crate::subscribers::{self, Edition};
use crate::words::Language;
use data_encoding::BASE32_NOPAD;
use std::sync::Arc;

/// Where the digest leaves room for a reader's links.
pub const MARKS: Marks = Marks { unsubscribe: digest::UNSUBSCRIBE_MARK, preferences: digest::PREFERENCES_MARK };

/// How an issue is signed and addressed.
#[derive(Debug)]
pub struct Hand {
    issue: i64,
    newsletter: String,
    list_name: String,
    sender: Sender,
    discreet: Sender,
}

/// The letters of an issue, one for each edition, each also in its discreet form.
#[derive(Debug)]
pub struct Letters {
    hand: Hand,
    made: Vec<Made>,
}

#[derive(Debug)]
struct Made {
    edition: Edition,
    language: Language,
    with_ask: bool,
    open: Letter,
    discreet: Letter,
}

/// Why there is no letter for a reader.
#[derive(Debug, thiserror::Error)]
pub enum LetterError {
    /// The settings.
    #[error(transparent)]
    Sender(#[from] SenderError),
    /// The newsletter is in no settings any more.
    #[error("the newsletter \"{0}\" is not among the settings")]
    NoNewsletter(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] crate::db::Error),
    /// Nothing was frozen.
    #[error("no edition of the issue was frozen")]
    NoEdition,
    /// What was frozen is not what was frozen.
    #[error("an edition differs from what was frozen; somebody has changed the database")]
    Changed,
}

impl Hand {
    /// For an issue of a newsletter, as the settings are now.
    pub fn new(app: &Shared, issue: i64, newsletter: &str) -> Result<Hand, LetterError> {
        let newsroom = app.newsroom();
        let settings =
            newsroom.newsletter(newsletter).ok_or_else(|| LetterError::NoNewsletter(newsletter.to_owned()))?;
        let sender = Sender::parse(&newsroom.sender(Some(settings), app.config.host()))?;
        let discreet = settings.discreet_name.as_deref().map_or_else(|| sender.clone(), |name| sender.named(name));
        Ok(Hand { issue, newsletter: newsletter.to_owned(), list_name: settings.name.clone(), sender, discreet })
    }

    /// The sender's domain.
    pub fn domain(&self) -> &str {
        self.sender.domain()
    }

    /// A letter of an edition.
    pub fn letter(&self, subject: &str, body: Arc<Body>, discreet: bool) -> Letter {
        let (sender, name) =
            if discreet { (&self.discreet, None) } else { (&self.sender, Some(self.list_name.as_str())) };
        Letter::new(sender, subject, (&self.newsletter, name), body)
    }

    /// Writes a reader's mail into `out`; its envelope.
    pub fn address(
        &self,
        app: &Shared,
        letter: &Letter,
        reader: i64,
        to: &Address,
        at: Moment,
        out: &mut Vec<u8>,
    ) -> Envelope {
        let (domain, base, keys) = (self.sender.domain(), &app.config.base_url, &app.keys);
        let short = |purpose| keys.short_token(purpose, &who(self.issue, reader));
        let id = BASE32_NOPAD.encode(&keys.mark("digest-message-id", &who(self.issue, reader))[..16]).to_lowercase();
        letter.write(
            out,
            &Own {
                to,
                message_id: &format!("<{id}@{domain}>"),
                at,
                unsubscribe: &subscribers::unsubscribe_link(keys, base, reader, &self.newsletter, self.issue),
                unsubscribe_mail: &format!("unsubscribe+{}@{domain}?subject=unsubscribe", short("unsubscribe")),
                preferences: &subscribers::preferences_link(keys, base, reader, self.issue),
            },
        );
        Envelope { return_path: format!("bounce+{}@{domain}", short("bounce")), to: to.clone() }
    }
}

/// What surrounds a newsletter's mail to one reader that is no issue: how it is signed and how it can be left.
#[derive(Debug)]
pub struct Letterhead {
    /// `Name <address>`.
    pub sender: String,
    /// Ends the subscription.
    pub unsubscribe: String,
    /// The reader's choices.
    pub preferences: String,
    /// The fields by which a mail program offers to leave, as the digest has them (RFC 2369, RFC 8058).
    pub fields: Vec<(String, String)>,
}

/// The letterhead of a newsletter for one of its readers.
pub fn letterhead(app: &Shared, newsletter: &str, reader: i64, discreet: bool) -> Result<Letterhead, LetterError> {
    // Links name the issue with whose mail they came. This one came with none.
    let none = 0;
    let newsroom = app.newsroom();
    let domain = Hand::new(app, none, newsletter)?.sender.domain().to_owned();
    let settings = newsroom.newsletter(newsletter);
    let (keys, base, host) = (&app.keys, &app.config.base_url, app.config.host());
    let unsubscribe = subscribers::unsubscribe_link(keys, base, reader, newsletter, none);
    let token = keys.short_token("unsubscribe", &who(none, reader));
    let ways = format!("<{unsubscribe}>, <mailto:unsubscribe+{token}@{domain}?subject=unsubscribe>");
    let one_click = "List-Unsubscribe=One-Click".to_owned();
    Ok(Letterhead {
        sender: if discreet { newsroom.discreet_sender(settings, host) } else { newsroom.sender(settings, host) },
        fields: vec![("List-Unsubscribe".to_owned(), ways), ("List-Unsubscribe-Post".to_owned(), one_click)],
        preferences: subscribers::preferences_link(keys, base, reader, none),
        unsubscribe,
    })
}

/// Issue and reader in twelve octets, which is what a short token takes at its shortest.
fn who(issue: i64, reader: i64) -> [u8; 12] {
    let mut who = [0; 12];
    // Issues have small numbers; beyond four thousand million the tokens would repeat, not break.
    who[..4].copy_from_slice(&issue.to_be_bytes()[4..]);
    who[4..].copy_from_slice(&reader.to_be_bytes());
    who
}

impl Letters {
    /// Makes them from what was frozen, having compared that with its hash: nothing may have changed it since.
    pub async fn make(app: &Shared, issue: i64, newsletter: &str) -> Result<Letters, LetterError> {
        let hand = Hand::new(app, issue, newsletter)?;
        let mut made = Vec::new();
        for stored in digest::store::editions(&app.db, issue).await? {
            let edition = stored.rendered;
            if edition.hash() != stored.hash {
                return Err(LetterError::Changed);
            }
            let body = Arc::new(Body::new(&edition.text, edition.html.as_deref(), MARKS));
            made.push(Made {
                edition: edition.edition,
                language: edition.language,
                with_ask: edition.with_ask,
                open: hand.letter(&edition.subject, body.clone(), false),
                discreet: hand.letter(&edition.subject, body, true),
            });
        }
        if made.is_empty() { Err(LetterError::NoEdition) } else { Ok(Letters { hand, made }) }
    }

    /// How they are signed.
    pub fn hand(&self) -> &Hand {
        &self.hand
    }

    /// The letter for what a reader chose. Every choice was frozen; should one be missing, the nearest is better than
    /// no mail: another language before another edition.
    pub fn get(&self, edition: &str, language: &str, with_ask: bool, discreet: bool) -> &Letter {
        let distance = |made: &&Made| {
            let apart = |same: bool, weight: u8| if same { 0 } else { weight };
            apart(made.with_ask == with_ask, 4)
                + apart(made.edition.as_str() == edition, 2)
                + apart(made.language.as_str() == language, 1)
        };
        // OK because `make` refuses an empty list.
        let made = self.made.iter().min_by_key(distance).expect("a letter");
        if discreet { &made.discreet } else { &made.open }
    }
}
