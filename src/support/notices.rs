//! What a giver is told ahead: that an annual gift renews, that a card runs out, that a pause ends.
//!
//! Nobody tells us the time for these; a task looks. Whether a notice is due is a matter of our own row and the clock
//! ([`due`]). Before it is written the gift is read from Stripe once more, because a card that was replaced last week needs
//! no mail, and because the address is there and nowhere else.

use std::time::Duration;

use crate::app::{App, Shared};
use crate::clock::{DAY, Moment};
use crate::db;
use crate::mail::Message;
use crate::mail::outbox::{self, Note};
use crate::support::apply::{self, Letter, Trouble};
use crate::support::mail::house;
use crate::support::store::gifts::{self, GiftRow};
use crate::support::store::{figures, notices};
use crate::support::stripe::Stripe;
use crate::support::write::{manage_link, write};
use crate::support::{Frequency, GiftState, month_at};

/// How far ahead an annual gift's renewal is told, first and again.
const RENEWAL: [Duration; 2] = [Duration::from_secs(30 * 24 * 3_600), Duration::from_secs(7 * 24 * 3_600)];
/// How far ahead of the payment that would fail a card's end is told.
const CARD: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How far ahead the end of a pause is told.
const PAUSE: Duration = Duration::from_secs(7 * 24 * 3_600);
const PAGE: i64 = 100;

/// Something to be told ahead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An annual gift renews then.
    Renewal(Moment),
    /// The card works until that month only, and the next payment is later.
    Card(String),
    /// A pause ends then.
    Resumes(Moment),
}

/// The notices that are due for a gift, each with the mark under which it is written once.
pub fn due(gift: &GiftRow, now: Moment) -> Vec<(Notice, String)> {
    let day = |at: Moment| at.to_jiff().strftime("%Y-%m-%d").to_string();
    let mut due = Vec::new();
    let Some(next) = gift.next_at().filter(|next| *next > now) else { return due };
    let until = gift.paused_until.filter(|until| gift.state == GiftState::Paused && *until > now);
    if let Some(until) = until.filter(|until| *until <= now + PAUSE) {
        due.push((Notice::Resumes(until), format!("resumes {}", day(until))));
    }
    if gift.state != GiftState::Active {
        return due;
    }
    if gift.frequency == Frequency::Annual {
        // Found late, the second one is enough.
        let last = RENEWAL.into_iter().rev().find(|ahead| next <= now + *ahead);
        let mark = |ahead: Duration| format!("renewal {} {}", day(next), ahead.as_secs() / DAY.as_secs());
        due.extend(last.map(|ahead| (Notice::Renewal(next), mark(ahead))));
    }
    if let Some(month) = gift.card_until.as_ref().filter(|month| **month < month_at(next) && next <= now + CARD) {
        due.push((Notice::Card(month.clone()), format!("card {month}")));
    }
    due
}

/// Writes the notices that are due, and whether there were any. What Stripe does not answer for is tried again at the next
/// run.
///
/// # Errors
/// When the database fails.
pub async fn step(app: &Shared) -> db::Result<bool> {
    let Some(stripe) = &app.stripe else { return Ok(false) };
    let (mut after, mut told) = (0, false);
    loop {
        let now = app.clock.now();
        let page = gifts::coming(&app.db, now + RENEWAL[0], &month_at(now + CARD), PAGE, after).await?;
        for gift in &page {
            for (notice, mark) in due(gift, now) {
                if notices::is_noted(&app.db, gift.id, &mark).await? || is_new(app, gift, &notice).await? {
                    continue;
                }
                match tell(app, stripe, gift, &notice, &mark).await {
                    Ok(is_told) => told |= is_told,
                    Err(error) => {
                        tracing::warn!(gift = gift.id, error = error.code(), "a notice is tried again later");
                    }
                }
            }
        }
        match page.last() {
            Some(last) => after = last.id,
            None => return Ok(told),
        }
    }
}

/// A gift that became annual a while ago has no year behind it: its giver has just been told when the first payment comes.
async fn is_new(app: &App, gift: &GiftRow, notice: &Notice) -> db::Result<bool> {
    Ok(matches!(notice, Notice::Renewal(_)) && !figures::has_paid(&app.db, gift.id, Frequency::Annual).await?)
}

/// Reads the gift once more, and where the notice is still due puts its mail in the outbox.
async fn tell(app: &App, stripe: &Stripe, gift: &GiftRow, notice: &Notice, mark: &str) -> Result<bool, Trouble> {
    let mut change = apply::of_gift(app, stripe, &gift.subscription_id).await?;
    let giver = change.giver.clone();
    // A card that Stripe does not tell of is the one that we know.
    if let Some(reading) = &mut change.gift {
        reading.gift.card_until = reading.gift.card_until.take().or_else(|| gift.card_until.clone());
    }
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    write(app, &mut tx, change, now).await?;
    let row = gifts::by_subscription(&mut tx, &gift.subscription_id).await?;
    let is_due = row.as_ref().is_some_and(|row| due(row, now).iter().any(|(_, other)| other == mark));
    let mut told = false;
    if let (Some(row), Some(giver), true) = (row, giver, is_due)
        && notices::note(&mut tx, row.id, mark, now).await?
        && let Some(message) = message(app, &row, &giver, notice)
    {
        told = outbox::put(&mut tx, &app.keys, now, Note { kind: "gift-notice", once: None, message }).await?;
    }
    tx.commit().await?;
    app.wake(outbox::TASK);
    Ok(told)
}

fn message(app: &App, gift: &GiftRow, giver: &Letter, notice: &Notice) -> Option<Message> {
    let (house, manage, to) = (house(app, giver.language), manage_link(app, &giver.to), giver.to.clone());
    let choice = gift.choice()?;
    Some(match notice {
        Notice::Renewal(at) => house.renews(to, choice.money, *at, manage),
        Notice::Card(month) => house.card_ends(to, choice, month, gift.next_at()?, manage),
        Notice::Resumes(until) => house.resumes(to, choice, *until, gift.next_at()?, manage),
    })
}
