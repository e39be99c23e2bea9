//! What an event changes, put down: one transaction, with the mails that it causes.
//!
//! Whatever is written can be written again: lines are unique by Stripe's id, attempts only move forward, a gift takes the
//! answer of the latest read, an alarm is raised once, and each mail has a mark of its own or hangs on a turn, which is
//! found once.

use data_encoding::BASE64;
use std::time::Duration;

use crate::address::Address;
use crate::app::App;
use crate::clock::Moment;
use crate::db::{self, Tx};
use crate::keys::Drawer;
use crate::mail::Message;
use crate::mail::outbox::{self, Note};
use crate::support::apply::{Change, Letter, Reading, Trouble, no_payment_yet};
use crate::support::mail::{Missed, Paid, house};
use crate::support::store::{self, alarms, gifts, reminders, turns};
use crate::support::task::KEEP;
use crate::support::turns::{Standing, Turn, between};
use crate::support::{Choice, Frequency, Gift, GiftState, Line, LineKind, MANAGE, THANKS_LINK_LIFE};

/// A gift that ended longer ago than Stripe lists events is found by chance; its giver is not told any more.
const OLD_NEWS: Duration = Duration::from_secs(30 * 24 * 3_600);

/// What came of writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Whether a mail is in the outbox now.
    pub mails: bool,
    /// The gift that it was about.
    pub gift_id: Option<i64>,
}

/// Writes a change down.
pub(super) async fn write(app: &App, tx: &mut Tx, change: Change, now: Moment) -> Result<Written, Trouble> {
    let mut mails = write_attempt(app, tx, &change, now).await?;
    let donor = change.giver.as_ref().map(|giver| app.keys.index(Drawer::Donors, &giver.to));
    let mut gift = None;
    if let Some(reading) = &change.gift {
        mails |= write_gift(app, tx, reading, change.disputed, now).await?;
        gift = gifts::by_subscription(tx, &reading.gift.subscription_id).await?;
    }
    for line in &change.lines {
        mails |= write_line(app, tx, line, gift.as_ref(), change.giver.as_ref(), donor.as_deref(), now).await?;
    }
    if let Some(((missed, mark), giver)) = change.failed.zip(change.giver) {
        let message = house(app, giver.language).missed(giver.to, &missed);
        mails |= put(app, tx, "payment-failed", &mark, message, now).await?;
    }
    for (alarm, object) in &change.alarms {
        alarms::raise(tx, *alarm, object, now).await?;
    }
    let gift_id = match (gift, change.lines.first().and_then(|line| line.payment_intent.as_deref())) {
        (Some(gift), _) => Some(gift.id),
        (None, Some(intent)) => gifts::id_of_payment(tx, intent).await?,
        (None, None) => None,
    };
    Ok(Written { mails, gift_id })
}

async fn write_attempt(app: &App, tx: &mut Tx, change: &Change, now: Moment) -> Result<bool, Trouble> {
    let Some((attempt, session, state)) = &change.attempt else { return Ok(false) };
    let moved = store::move_attempt(tx, *attempt, Some(session), *state, now).await?;
    let Some((letter, money)) = change.missed.as_ref().filter(|_| moved) else { return Ok(false) };
    let missed = Missed {
        choice: Choice { frequency: Frequency::Once, money: *money },
        at: now,
        again_at: None,
        is_last: false,
        link: app.config.link("/support"),
        bank_link: None,
    };
    let message = house(app, letter.language).missed(letter.to.clone(), &missed);
    Ok(put(app, tx, "payment-failed", &format!("attempt {attempt}"), message, now).await?)
}

/// Replaces what we knew of a gift by what the latest read said, and finds out what has happened in between.
async fn write_gift(app: &App, tx: &mut Tx, reading: &Reading, disputed: bool, now: Moment) -> Result<bool, Trouble> {
    let Reading { gift, number, language, giver } = reading;
    // On PostgreSQL this also makes two readings of one gift wait for each other.
    if !store::latest(tx, &gift.subscription_id, *number).await? {
        return Ok(false);
    }
    let before = gifts::by_subscription(tx, &gift.subscription_id).await?;
    // What has begun cannot be waiting for its first payment: such an answer was overtaken on its way.
    if gift.state == GiftState::Pending && before.as_ref().is_some_and(|row| row.state != GiftState::Pending) {
        return Ok(false);
    }
    let id = before.as_ref().map_or_else(db::new_id, |before| before.id);
    gifts::keep(tx, id, gift, *language).await?;
    if let Some(giver) = giver {
        gifts::tie(tx, &gift.subscription_id, &app.keys.index(Drawer::Donors, &giver.to)).await?;
    }
    let mut mails = false;
    let standing = before.as_ref().and_then(gifts::GiftRow::standing);
    let after = gifts::by_subscription(tx, &gift.subscription_id).await?;
    for (turn, worth) in between(standing, Standing::from(gift), gift.began) {
        turns::add(tx, id, turn, worth, at(turn, gift, now), detail(turn, gift)).await?;
        if let Some((giver, after)) = giver.as_ref().zip(after.as_ref()) {
            let told = Told { turn, gift, before: before.as_ref(), after, disputed };
            mails |= tell(app, tx, &told, giver, now).await?;
        }
    }
    Ok(mails)
}

/// A turn, with all that its mail may say.
struct Told<'a> {
    turn: Turn,
    gift: &'a Gift,
    before: Option<&'a gifts::GiftRow>,
    after: &'a gifts::GiftRow,
    disputed: bool,
}

/// When a turn was: as Stripe says where it does, and else when we learned of it.
fn at(turn: Turn, gift: &Gift, now: Moment) -> Moment {
    match turn {
        Turn::Begun => gift.started_at,
        Turn::Ended => gift.ended_at.unwrap_or(now),
        _ => now,
    }
}

fn detail(turn: Turn, gift: &Gift) -> Option<String> {
    let day = |at: Moment| at.to_jiff().strftime("%Y-%m-%d").to_string();
    match turn {
        Turn::Begun | Turn::Changed => {
            Some(format!("{} {} {}", gift.money.plain(), gift.money.currency, gift.frequency))
        }
        Turn::Paused => gift.paused_until.map(day),
        Turn::Ends => gift.ends_at.map(day),
        Turn::Ended => gift.ended_why.clone(),
        Turn::Failing | Turn::Recovered | Turn::Resumed | Turn::GoesOn => None,
    }
}

/// The mail that a turn owes its giver, if any.
async fn tell(app: &App, tx: &mut Tx, told: &Told<'_>, giver: &Letter, now: Moment) -> Result<bool, Trouble> {
    let gift = told.gift;
    let house = house(app, giver.language);
    let manage = manage_link(app, &giver.to);
    let choice = Choice { frequency: gift.frequency, money: gift.money };
    let (kind, message) = match told.turn {
        Turn::Changed => {
            let Some(old) = told.before.and_then(gifts::GiftRow::choice) else { return Ok(false) };
            ("gift-changed", house.changed(giver.to.clone(), old, choice, told.after.next_at(), manage))
        }
        Turn::Paused => ("gift-paused", house.paused(giver.to.clone(), choice, gift.paused_until, manage)),
        Turn::Ended => {
            if gift.ended_at.is_some_and(|ended| ended + OLD_NEWS < now) {
                return Ok(false);
            }
            let ending = if told.disputed { Ending::Disputed } else { Ending::of(gift) };
            let message = house.ended(giver.to.clone(), gift.money, ending);
            return Ok(put(app, tx, "gift-ended", &gift.subscription_id, message, now).await?);
        }
        _ => return Ok(false),
    };
    Ok(outbox::put(tx, &app.keys, now, Note { kind, once: None, message }).await?)
}

/// Why a gift has ended, as far as its giver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// They wished it.
    Wished,
    /// The payments failed.
    Failed,
    /// Their bank took a payment back.
    Disputed,
}

impl Ending {
    fn of(gift: &Gift) -> Ending {
        match gift.ended_why.as_deref() {
            Some("payment_failed") => Ending::Failed,
            Some("payment_disputed") => Ending::Disputed,
            _ => Ending::Wished,
        }
    }
}

async fn write_line(
    app: &App,
    tx: &mut Tx,
    line: &Line,
    gift: Option<&gifts::GiftRow>,
    giver: Option<&Letter>,
    donor: Option<&[u8]>,
    now: Moment,
) -> Result<bool, Trouble> {
    let line = match gift {
        Some(gift) if gift.forgotten => &Line { donor: None, ..line.clone() },
        _ => line,
    };
    if !store::add_line(tx, line, gift.map(|gift| gift.id)).await? || line.kind != LineKind::Payment {
        return Ok(false);
    }
    if let Some(intent) = &line.payment_intent {
        store::hurry(tx, &no_payment_yet(intent), now).await?;
    }
    if let Some(donor) = donor {
        reminders::drop_for(tx, donor).await?;
    }
    let Some((giver, frequency)) = giver.zip(line.frequency) else { return Ok(false) };
    let paid = Paid {
        choice: Choice { frequency, money: line.money },
        first: line.first,
        at: line.at,
        next_at: gift.and_then(gifts::GiftRow::next_at),
        number: line.object_id.clone(),
        manage: manage_link(app, &giver.to),
    };
    let message = house(app, giver.language).thanks(giver.to.clone(), &paid);
    Ok(put(app, tx, "thanks", &line.object_id, message, now).await?)
}

/// Puts a mail about one object in the outbox, once.
pub(super) async fn put(
    app: &App,
    tx: &mut Tx,
    kind: &'static str,
    object: &str,
    message: Message,
    now: Moment,
) -> db::Result<bool> {
    let mark = app.keys.mark(kind, object.as_bytes());
    outbox::put(tx, &app.keys, now, Note { kind, once: Some((mark, now + KEEP)), message }).await
}

/// The address of a giver's own page, for mails about what they give.
pub(super) fn manage_link(app: &App, to: &Address) -> String {
    let donor = app.keys.index(Drawer::Donors, to);
    let token = app.keys.link(MANAGE, Some(app.clock.now() + THANKS_LINK_LIFE), &BASE64.encode(&donor));
    app.config.link(&format!("/support/manage/{token}"))
}
