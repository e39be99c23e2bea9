//! Who has confirmed gets a welcome, and the issue that goes out just then.
//!
//! The confirmation has left a row among the newcomers (`subscribers`). Here each is seen to once. First they are added to
//! the runs that are open: that can be repeated, since a reader has one row in a run. Then their row is taken away in the
//! transaction that puts the welcome into the outbox: so there is one welcome, whoever dies, and however many processes look.

use super::letters::{self, LetterError};
use super::store::newcomers::{self, Newcomer};
use super::store::progress;
use super::task;
use crate::address::Address;
use crate::app::Shared;
use crate::clock::{DAY, Moment};
use crate::db::{self, Tx};
use crate::digest;
use crate::digest::mail::{self, Latest};
use crate::digest::render::Press;
use crate::keys::{Drawer, KeyError};
use crate::mail::{Message, outbox};
use crate::newsroom::Newsletter;
use crate::subscribers::{self, Edition};
use crate::words::{Language, Words};

/// As many as are seen to in one commit.
const BATCH: usize = 50;

/// Why there is no welcome.
#[derive(Debug, thiserror::Error)]
enum WelcomeError {
    /// For now.
    #[error(transparent)]
    Db(#[from] db::Error),
    #[error(transparent)]
    Letter(#[from] LetterError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Template(#[from] askama::Error),
}

/// Sees to the newcomers, a batch at a time. True when there were any. Nearly always there is nobody, and finding that out
/// reads one empty table, once a second.
pub async fn step(app: &Shared) -> db::Result<bool> {
    let waiting = newcomers::waiting(&app.db, BATCH).await?;
    if waiting.is_empty() {
        return Ok(false);
    }
    let now = app.clock.now();
    for (issue, newsletter) in newcomers::open_runs(&app.db, now - DAY).await? {
        if app.newsroom().newsletter(&newsletter).is_some_and(|settings| settings.send_to_newcomers) {
            take(app, issue, now).await?;
        }
    }
    // Written before the transaction begins, so that it holds SQLite's one writer no longer than it must.
    let mut welcomes = Vec::with_capacity(waiting.len());
    for newcomer in &waiting {
        welcomes.push(welcome(app, newcomer, now).await?);
    }
    let mut tx = app.db.begin_behind().await?;
    for (newcomer, welcome) in waiting.iter().zip(welcomes) {
        let (reader, slug) = (newcomer.subscriber_id, &newcomer.newsletter);
        if subscribers::store::newcomers::take_away(&mut tx, reader, slug).await?
            && let Some(message) = welcome
        {
            put(app, &mut tx, slug, message, now).await?;
        }
    }
    tx.commit().await?;
    app.wake(outbox::TASK);
    Ok(true)
}

/// Adds them to one run.
async fn take(app: &Shared, issue: i64, now: Moment) -> db::Result<()> {
    let mut tx = app.db.begin_behind().await?;
    let added = newcomers::take(&mut tx, issue, now).await?;
    tx.commit().await?;
    if added > 0 {
        progress::note_news(&app.db, issue, now, "Who signs up meanwhile gets it too").await?;
        app.wake(task::SEND);
    }
    Ok(())
}

/// The welcome for one newcomer; none where the newsroom wants none, or the reader has paused.
async fn welcome(app: &Shared, newcomer: &Newcomer, now: Moment) -> db::Result<Option<Message>> {
    let newsroom = app.newsroom();
    let settings = newsroom.newsletter(&newcomer.newsletter).filter(|settings| settings.welcome);
    let Some(settings) = settings.filter(|_| newcomer.paused_until.is_none_or(|until| until <= now)) else {
        return Ok(None);
    };
    match compose(app, settings, newcomer, now).await {
        Ok(message) => Ok(Some(message)),
        Err(WelcomeError::Db(error)) => Err(error),
        Err(error) => {
            // It would fail each second, and hold up everybody behind it.
            tracing::error!(reader = newcomer.subscriber_id, %error, "there is no welcome for a newcomer");
            Ok(None)
        }
    }
}

async fn compose(
    app: &Shared,
    settings: &Newsletter,
    newcomer: &Newcomer,
    now: Moment,
) -> Result<Message, WelcomeError> {
    let (reader, slug, newsroom) = (newcomer.subscriber_id, &newcomer.newsletter, app.newsroom());
    let to: Address = subscribers::open_address(&app.keys, reader, &newcomer.address_sealed)?;
    let head = letters::letterhead(app, slug, reader, newcomer.discreet)?;
    let language = newcomer.language.as_deref().and_then(Language::parse).unwrap_or(settings.language);
    let press = Press { newsroom: &newsroom, newsletter: settings, base_url: &app.config.base_url, at: now };
    let about = mail::Newcomer {
        to: &to,
        words: Words::of(language),
        discreet: newcomer.discreet,
        plain: newcomer.edition == Edition::Plain.as_str(),
        unsubscribe: &head.unsubscribe,
        preferences: &head.preferences,
    };
    let message = mail::welcome(press, &about, &latest(app, slug, reader).await?)?;
    Ok(Message { from: Some(head.sender), headers: head.fields, ..message })
}

/// What the latest issue is to a newcomer.
async fn latest(app: &Shared, newsletter: &str, reader: i64) -> db::Result<Latest> {
    let Some(issue) = digest::store::latest(&app.db, newsletter).await? else { return Ok(Latest::None) };
    let coming = newcomers::comes_to(&app.db, newsletter, issue.number, reader).await?;
    Ok(if coming { Latest::Coming } else { Latest::Here(issue) })
}

/// Puts a welcome into the outbox: one an address, newsletter and day, also where somebody leaves and comes back.
async fn put(app: &Shared, tx: &mut Tx, newsletter: &str, message: Message, now: Moment) -> db::Result<()> {
    let index = app.keys.index(Drawer::Subscribers, &message.to);
    let mark = app.keys.mark("welcome", &[&index[..], newsletter.as_bytes()].concat());
    let note = outbox::Note { kind: "welcome", once: Some((mark, now + DAY)), message };
    outbox::put(tx, &app.keys, now, note).await?;
    Ok(())
}
