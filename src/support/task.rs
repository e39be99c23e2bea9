//! The room's background steps: events are applied, forgotten attempts looked after, reminders sent.
//!
//! An event names an object. The step takes some events under a lease, reads each one's object from Stripe, and then in
//! one transaction changes what the object says, puts the mails in the outbox and ends the event. A crash before the
//! commit changes nothing, and the event is due again when the lease has run out; a crash after it leaves nothing to
//! do. Nothing is held open while Stripe is asked.
//!
//! What is retried: everything that went wrong on the way (Stripe unreachable, busy, unreadable; the database), along
//! [`RETRY`], and then the event is given up and staff are told. What is not: an object that does not exist, is not
//! ours, or is of a kind that we do not use.

use std::time::Duration;

use futures_util::future::join_all;

use crate::address::Address;
use crate::app::{App, Shared};
use crate::clock::{DAY, Moment};
use crate::db::{self, Tx};
use crate::keys::Drawer;
use crate::mail::outbox::{self, Note};
use crate::money::{Currency, Money};
use crate::support::answers::{Ref, Refund, Session, Subscription};
use crate::support::mail::{House, Missed, Paid};
use crate::support::store::{self, Due, Outcome, figures, reminders};
use crate::support::stripe::{Stripe, StripeError};
use crate::support::{
    AttemptState, Choice, Frequency, Gift, GiftState, Line, LineKind, REMINDERS, THANKS_LINK_LIFE, calls, mail,
    reminder_again_at,
};
use crate::words::Language;
use crate::worker::Task;

/// The task that applies events; the webhook wakes it.
pub const EVENTS: &str = "stripe-events";
/// When an event is tried again, after the first, second, … failure: three days in all, as long as Stripe itself tries.
pub const RETRY: [Duration; 11] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(12 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(14 * 3_600),
];
/// After so many tries a refund without a payment is somebody else's: a day has passed.
const FOREIGN: i64 = 8;
/// Why a refund waits. The payment's arrival looks for this.
pub const NO_PAYMENT_YET: &str = "its payment is not here yet";
const LEASE: Duration = Duration::from_secs(120);
const BATCH: i64 = 16;
/// An attempt without news for so long is looked up: its event may never have been made.
const UNHEARD: Duration = Duration::from_secs(6 * 3_600);
/// Stripe lists events for 30 days; ours are kept longer, so that a reconciliation knows them all.
const KEEP: Duration = Duration::from_secs(45 * 24 * 3_600);

/// The kinds of events that are applied, and so the ones a webhook should be set to send.
pub const KINDS: [&str; 22] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
];

/// Why an event was not applied.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// Stripe.
    #[error(transparent)]
    Stripe(#[from] StripeError),
    /// The database.
    #[error("the database: {0}")]
    Db(#[from] db::Error),
    /// Giving is not set up in this process.
    #[error("Stripe is not set up")]
    Closed,
    /// The object does not say what it must.
    #[error("the object lacks {0}")]
    Lacks(&'static str),
    /// A refund came before its payment.
    #[error("{NO_PAYMENT_YET}")]
    NoPaymentYet,
}

impl Trouble {
    fn code(&self) -> String {
        match self {
            Trouble::Stripe(error) => error.code(),
            Trouble::Db(_) => "database".to_owned(),
            other => other.to_string(),
        }
    }
}

/// The room's tasks.
pub fn tasks() -> Vec<Task<Shared>> {
    vec![
        Task::new(EVENTS, Duration::from_secs(10), |app: Shared| async move { step(&app).await }),
        Task::new("stripe-attempts", Duration::from_secs(900), |app: Shared| async move { sweep(&app).await }),
        Task::new("reminders", Duration::from_secs(600), |app: Shared| async move { remind(&app).await }),
        Task::new("stripe-tidy", DAY, |app: Shared| async move { tidy(&app).await }),
    ]
}

/// Applies some events that are due. Whether there were any.
///
/// # Errors
/// When the database fails; what fails with one event is written beside it.
pub async fn step(app: &Shared) -> db::Result<bool> {
    let Some(stripe) = &app.stripe else { return Ok(false) };
    let now = app.clock.now();
    let due = store::take(&app.db, db::new_id(), now, now + LEASE, BATCH).await?;
    let results = join_all(due.iter().map(|event| one(app, stripe, event))).await;
    results.into_iter().collect::<db::Result<Vec<()>>>()?;
    Ok(!due.is_empty())
}

async fn one(app: &App, stripe: &Stripe, event: &Due) -> db::Result<()> {
    let trouble = match apply(app, stripe, event).await {
        Ok(()) => return Ok(()),
        Err(trouble) => trouble,
    };
    let now = app.clock.now();
    if matches!(&trouble, Trouble::Stripe(error) if error.is_missing()) || is_foreign(&trouble, event) {
        return end(app, event, Outcome::Ignored, Some(trouble.code())).await;
    }
    match usize::try_from(event.tries - 1).ok().and_then(|tries| RETRY.get(tries)) {
        Some(pause) => {
            tracing::warn!(event = event.id, kind = event.kind, error = trouble.code(), "an event is tried again later");
            store::put_off(&app.db, event, now + *pause, trouble.code()).await
        }
        None => {
            tracing::error!(event = event.id, kind = event.kind, error = trouble.code(), "an event was given up");
            end(app, event, Outcome::Failed, Some(trouble.code())).await
        }
    }
}

fn is_foreign(trouble: &Trouble, event: &Due) -> bool {
    matches!(trouble, Trouble::NoPaymentYet) && event.tries >= FOREIGN
}

async fn end(app: &App, event: &Due, outcome: Outcome, problem: Option<String>) -> db::Result<()> {
    let mut tx = app.db.begin().await?;
    store::finish(&mut tx, event, outcome, problem, app.clock.now()).await?;
    tx.commit().await
}

/// Reads what an event is about and applies it, with the event's end in the same transaction.
async fn apply(app: &App, stripe: &Stripe, event: &Due) -> Result<(), Trouble> {
    let Some(object) = event.object_id.as_deref().filter(|_| KINDS.contains(&event.kind.as_str())) else {
        return Ok(end(app, event, Outcome::Ignored, None).await?);
    };
    let kind = event.kind.as_str();
    let change = if kind.starts_with("checkout.session.") {
        of_session(app, stripe, object).await?
    } else if kind.starts_with("invoice.") {
        of_invoice(app, stripe, object).await?
    } else if kind.starts_with("customer.subscription.") {
        of_gift(app, stripe, object).await?
    } else if kind == "charge.refunded" {
        of_charge(app, stripe, object).await?
    } else if kind.starts_with("charge.dispute.") {
        of_dispute(app, stripe, object).await?
    } else {
        let refund = calls::refund(stripe, object).await?;
        of_refunds(app, &[refund]).await?
    };
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let outcome = if change.is_ours() { Outcome::Done } else { Outcome::Ignored };
    let mails = write(app, &mut tx, change, now).await?;
    store::finish(&mut tx, event, outcome, None, now).await?;
    tx.commit().await?;
    if mails {
        app.wake(outbox::TASK);
    }
    Ok(())
}

/// What an object says is to be changed here.
#[derive(Default)]
struct Change {
    /// An attempt, its page at Checkout and its new state; with the mail that says that a delayed payment failed.
    attempt: Option<(i64, String, AttemptState)>,
    missed: Option<(Letter, Money)>,
    /// A recurring gift, with the number of its read and the language of its mails.
    gift: Option<(Gift, i64, Language)>,
    /// Who gives, and how to write to them.
    giver: Option<Letter>,
    /// Payments and what came of them.
    lines: Vec<Line>,
    /// A renewal that failed: what to write, and the bill's id.
    failed: Option<(Missed, String)>,
    /// The gift has ended after it had begun: its giver is told, once.
    ended: bool,
}

/// Whom to write to. The address comes from Stripe with the object, goes into the outbox sealed, and nowhere else.
struct Letter {
    to: Address,
    language: Language,
}

impl Change {
    fn is_ours(&self) -> bool {
        self.attempt.is_some() || self.gift.is_some() || !self.lines.is_empty()
    }
}

async fn of_session(app: &App, stripe: &Stripe, id: &str) -> Result<Change, Trouble> {
    let session = calls::session(stripe, id).await?;
    let Some(attempt) = session.attempt() else { return Ok(Change::default()) };
    let language = language_of(app, attempt).await?;
    let giver = letter(session.email(), language);
    let mut change = match session.subscription.as_ref().map(Ref::id) {
        Some(subscription) => of_gift(app, stripe, subscription).await?,
        None => Change::default(),
    };
    let state = state_of(&session);
    change.ended = false;
    change.attempt = Some((attempt, session.id.clone(), state));
    if session.mode.as_deref() == Some("payment") {
        if state == AttemptState::Paid {
            change.lines.push(once(app, &session, attempt, giver.as_ref())?);
        }
        if state == AttemptState::Failed {
            change.missed = letter(session.email(), language).zip(money(session.amount_total, session.currency.as_deref()));
        }
    }
    change.giver = giver;
    Ok(change)
}

/// What a page at Checkout says about its attempt.
pub fn state_of(session: &Session) -> AttemptState {
    match (session.status.as_deref(), session.payment_status.as_deref()) {
        (_, Some("paid" | "no_payment_required")) => AttemptState::Paid,
        (Some("expired"), _) => AttemptState::Expired,
        (Some("complete"), _) => {
            let intent = session.payment_intent.as_ref().and_then(Ref::object).and_then(|intent| intent.status.as_deref());
            match intent {
                Some("requires_payment_method" | "canceled") => AttemptState::Failed,
                _ => AttemptState::Pending,
            }
        }
        _ => AttemptState::Open,
    }
}

/// The line of a one-time gift.
fn once(app: &App, session: &Session, attempt: i64, giver: Option<&Letter>) -> Result<Line, Trouble> {
    let intent = session.payment_intent.as_ref().ok_or(Trouble::Lacks("a payment intent"))?;
    let moved = intent.object().map_or(session.created, |intent| intent.moved_at());
    Ok(Line {
        object_id: intent.id().to_owned(),
        kind: LineKind::Payment,
        payment_intent: Some(intent.id().to_owned()),
        attempt_id: Some(attempt),
        frequency: Some(Frequency::Once),
        first: true,
        money: money(session.amount_total, session.currency.as_deref()).ok_or(Trouble::Lacks("an amount"))?,
        at: moment(moved),
        donor: giver.map(|giver| app.keys.index(Drawer::Donors, &giver.to)),
    })
}

async fn of_invoice(app: &App, stripe: &Stripe, id: &str) -> Result<Change, Trouble> {
    let invoice = calls::invoice(stripe, id).await?;
    let Some(subscription) = invoice.subscription() else { return Ok(Change::default()) };
    let mut change = of_gift(app, stripe, subscription).await?;
    change.ended = false;
    let Some((gift, _, language)) = &change.gift else { return Ok(change) };
    let giver = match invoice.customer_email.as_deref().and_then(|email| letter(Some(email), *language)) {
        Some(giver) => Some(giver),
        None => of_customer(stripe, gift.customer_id.as_deref(), *language).await?,
    };
    if invoice.is_paid() && invoice.amount_paid > 0 {
        change.lines.push(Line {
            object_id: invoice.id.clone(),
            kind: LineKind::Payment,
            payment_intent: invoice.payment_intent().map(str::to_owned),
            attempt_id: Some(gift.attempt_id),
            frequency: Some(gift.frequency),
            first: invoice.is_first(),
            money: money(Some(invoice.amount_paid), invoice.currency.as_deref()).ok_or(Trouble::Lacks("a currency"))?,
            at: moment(invoice.paid_at()),
            donor: giver.as_ref().map(|giver| app.keys.index(Drawer::Donors, &giver.to)),
        });
    } else if invoice.status.as_deref() == Some("open") && invoice.attempt_count > 0 && !invoice.is_first() {
        // Whose first payment fails is at Checkout and sees it; a renewal fails behind the giver's back.
        let owed = money(Some(invoice.amount_due), invoice.currency.as_deref()).unwrap_or(gift.money);
        change.failed = giver.as_ref().map(|giver| {
            let missed = Missed {
                choice: Choice { frequency: gift.frequency, money: owed },
                at: moment(invoice.created),
                again_at: invoice.next_payment_attempt.map(moment),
                link: manage_link(app, &giver.to),
            };
            (missed, invoice.id.clone())
        });
    }
    change.giver = giver;
    Ok(change)
}

/// Reads a recurring gift. One that is not ours is no change.
async fn of_gift(app: &App, stripe: &Stripe, id: &str) -> Result<Change, Trouble> {
    let read = store::begin_read(&app.db, id).await?;
    let subscription = calls::subscription(stripe, id).await?;
    let Some(attempt) = subscription.attempt() else { return Ok(Change::default()) };
    let language = language_of(app, attempt).await?;
    ended(stripe, &subscription, Change { gift: Some((gift(&subscription, attempt)?, read, language)), ..Change::default() }).await
}

/// Adds whom to write to where a gift has ended. One whose first payment never came had not begun.
async fn ended(stripe: &Stripe, subscription: &Subscription, mut change: Change) -> Result<Change, Trouble> {
    if let Some((gift, _, language)) = change.gift.as_ref().filter(|_| subscription.status.as_deref() == Some("canceled")) {
        change.giver = of_customer(stripe, gift.customer_id.as_deref(), *language).await?;
        change.ended = true;
    }
    Ok(change)
}

/// Takes over Stripe's answer to something that was done to a gift here, as if an event had told it.
///
/// # Errors
/// When Stripe or the database fails.
pub async fn keep_answer(app: &App, subscription: &Subscription, read: i64) -> Result<(), Trouble> {
    let (Some(stripe), Some(attempt)) = (&app.stripe, subscription.attempt()) else { return Ok(()) };
    let language = language_of(app, attempt).await?;
    let change = Change { gift: Some((gift(subscription, attempt)?, read, language)), ..Change::default() };
    let change = ended(stripe, subscription, change).await?;
    let mut tx = app.db.begin().await?;
    let mails = write(app, &mut tx, change, app.clock.now()).await?;
    tx.commit().await?;
    if mails {
        app.wake(outbox::TASK);
    }
    Ok(())
}

/// A subscription as a gift.
pub fn gift(subscription: &Subscription, attempt_id: i64) -> Result<Gift, Trouble> {
    let currency = subscription.currency.as_deref().ok_or(Trouble::Lacks("a currency"))?;
    let status = subscription.status.as_deref().unwrap_or_default();
    let state = GiftState::of(status, subscription.pause_collection.is_some());
    Ok(Gift {
        subscription_id: subscription.id.clone(),
        customer_id: subscription.customer.as_ref().map(|customer| customer.id().to_owned()),
        attempt_id,
        frequency: if subscription.interval() == Some("year") { Frequency::Annual } else { Frequency::Monthly },
        money: money(subscription.amount(), Some(currency)).ok_or(Trouble::Lacks("an amount"))?,
        state,
        started_at: moment(subscription.start_date.unwrap_or(subscription.created)),
        renews_at: subscription.renews_at().map(moment),
        ends_at: subscription.ends_at().map(moment),
        ended_at: subscription.ended_at.map(moment),
        ended_why: subscription.cancellation_details.as_ref().and_then(|details| details.reason.clone()),
    })
}

async fn of_charge(app: &App, stripe: &Stripe, id: &str) -> Result<Change, Trouble> {
    let charge = calls::charge(stripe, id).await?;
    let Some(intent) = charge.payment_intent.as_ref().map(|intent| intent.id().to_owned()) else {
        return Ok(Change::default());
    };
    let mut refunds = charge.refunds.unwrap_or_default().data;
    for refund in &mut refunds {
        refund.payment_intent.get_or_insert(Ref::Id(intent.clone()));
    }
    of_refunds(app, &refunds).await
}

async fn of_refunds(app: &App, refunds: &[Refund]) -> Result<Change, Trouble> {
    let mut change = Change::default();
    for refund in refunds {
        let Some(intent) = refund.payment_intent() else { continue };
        if !figures::has_payment(&app.db, intent).await? {
            return Err(Trouble::NoPaymentYet);
        }
        change.lines.extend(lines_of(refund)?);
    }
    Ok(change)
}

/// The lines of a refund: none before the money moves, one when it does, and a second when it comes back.
pub fn lines_of(refund: &Refund) -> Result<Vec<Line>, Trouble> {
    let status = refund.status.as_deref().unwrap_or_default();
    let moved = status == "succeeded" || refund.balance_transaction.is_some();
    if !moved {
        return Ok(Vec::new());
    }
    let given_back = money(Some(-refund.amount), refund.currency.as_deref()).ok_or(Trouble::Lacks("a currency"))?;
    let line = Line {
        object_id: refund.id.clone(),
        kind: LineKind::Refund,
        payment_intent: refund.payment_intent().map(str::to_owned),
        attempt_id: None,
        frequency: None,
        first: false,
        money: given_back,
        at: moment(refund.created),
        donor: None,
    };
    let returned = matches!(status, "failed" | "canceled").then(|| Line {
        object_id: format!("{}:returned", refund.id),
        kind: LineKind::Reversal,
        money: Money::new(refund.amount, given_back.currency),
        ..line.clone()
    });
    Ok([Some(line), returned].into_iter().flatten().collect())
}

async fn of_dispute(app: &App, stripe: &Stripe, id: &str) -> Result<Change, Trouble> {
    let dispute = calls::dispute(stripe, id).await?;
    let Some(intent) = dispute.payment_intent.as_ref().map(Ref::id) else { return Ok(Change::default()) };
    if !figures::has_payment(&app.db, intent).await? {
        return Err(Trouble::NoPaymentYet);
    }
    let mut change = Change::default();
    // Each balance transaction is a movement: the amount taken, and the amount given back where the dispute is won.
    for moved in &dispute.balance_transactions {
        let kind = if moved.amount < 0 { LineKind::Dispute } else { LineKind::Reversal };
        change.lines.push(Line {
            object_id: moved.id.clone(),
            kind,
            payment_intent: Some(intent.to_owned()),
            attempt_id: None,
            frequency: None,
            first: false,
            money: money(Some(moved.amount), dispute.currency.as_deref()).ok_or(Trouble::Lacks("a currency"))?,
            at: moment(moved.created),
            donor: None,
        });
    }
    Ok(change)
}

/// Writes a change down; whether a mail came of it.
async fn write(app: &App, tx: &mut Tx, change: Change, now: Moment) -> Result<bool, Trouble> {
    let mut mails = false;
    if let Some((attempt, session, state)) = &change.attempt {
        let moved = store::move_attempt(tx, *attempt, Some(session), *state, now).await?;
        if let Some((letter, money)) = change.missed.filter(|_| moved) {
            let missed = Missed {
                choice: Choice { frequency: Frequency::Once, money },
                at: now,
                again_at: None,
                link: app.config.link("/support"),
            };
            let message = house(app, letter.language).missed(letter.to, &missed);
            mails |= put(app, tx, "payment-failed", &format!("attempt {attempt}"), message, now).await?;
        }
    }
    let donor = change.giver.as_ref().map(|giver| app.keys.index(Drawer::Donors, &giver.to));
    let mut gift_id = None;
    let mut next_at = None;
    if let Some((gift, read, language)) = &change.gift {
        if store::latest(tx, &gift.subscription_id, *read).await? {
            store::keep_gift(tx, db::new_id(), gift, *language).await?;
        }
        if let Some(donor) = &donor {
            store::tie(tx, &gift.subscription_id, donor).await?;
        }
        gift_id = store::gift_in(tx, &gift.subscription_id).await?.map(|row| row.id);
        if let Some(giver) = change.giver.as_ref().filter(|_| change.ended) {
            let by_bank = gift.ended_why.as_deref().is_some_and(|why| why != "cancellation_requested");
            let message = house(app, giver.language).ended(giver.to.clone(), gift.money, by_bank);
            mails |= put(app, tx, "gift-ended", &gift.subscription_id, message, now).await?;
        }
        next_at = gift.renews_at.filter(|_| gift.state != GiftState::Ended && gift.ends_at.is_none());
    }
    for line in &change.lines {
        if !store::add_line(tx, line, gift_id).await? || line.kind != LineKind::Payment {
            continue;
        }
        store::hurry(tx, NO_PAYMENT_YET, now).await?;
        if let Some(donor) = &donor {
            reminders::drop_for(tx, donor).await?;
        }
        if let Some((giver, frequency)) = change.giver.as_ref().zip(line.frequency) {
            let paid = Paid {
                choice: Choice { frequency, money: line.money },
                first: line.first,
                at: line.at,
                next_at,
                number: line.object_id.clone(),
                manage: manage_link(app, &giver.to),
            };
            let message = house(app, giver.language).thanks(giver.to.clone(), &paid);
            mails |= put(app, tx, "thanks", &line.object_id, message, now).await?;
        }
    }
    if let Some(((missed, invoice), giver)) = change.failed.zip(change.giver) {
        let message = house(app, giver.language).missed(giver.to, &missed);
        mails |= put(app, tx, "payment-failed", &invoice, message, now).await?;
    }
    Ok(mails)
}

/// Puts a mail about one object in the outbox, once.
async fn put(app: &App, tx: &mut Tx, kind: &'static str, object: &str, message: crate::mail::Message, now: Moment) -> db::Result<bool> {
    let mark = app.keys.mark(kind, object.as_bytes());
    outbox::put(tx, &app.keys, now, Note { kind, once: Some((mark, now + KEEP)), message }).await
}

fn house(app: &App, language: Language) -> House {
    mail::house(app.newsroom(), &app.config.base_url, language)
}

/// The address of a giver's own page, for mails that thank them.
fn manage_link(app: &App, to: &Address) -> String {
    let donor = app.keys.index(Drawer::Donors, to);
    let token = app.keys.link(super::MANAGE, Some(app.clock.now() + THANKS_LINK_LIFE), &donor);
    app.config.link(&format!("/support/manage/{token}"))
}

fn letter(email: Option<&str>, language: Language) -> Option<Letter> {
    Some(Letter { to: Address::parse(email?).ok()?, language })
}

async fn of_customer(stripe: &Stripe, id: Option<&str>, language: Language) -> Result<Option<Letter>, Trouble> {
    let Some(id) = id else { return Ok(None) };
    let customer = calls::customer(stripe, id).await?;
    Ok(letter(customer.email.as_deref(), language))
}

async fn language_of(app: &App, attempt: i64) -> db::Result<Language> {
    Ok(store::attempt(&app.db, attempt).await?.map_or(Language::En, |attempt| attempt.language))
}

fn money(minor: Option<i64>, currency: Option<&str>) -> Option<Money> {
    Some(Money::new(minor?, Currency::from_code(currency?).ok()?))
}

fn moment(seconds: i64) -> Moment {
    Moment::from_millis(seconds.saturating_mul(1_000))
}

/// Looks up attempts of which nothing was heard: Stripe makes some events never.
///
/// # Errors
/// When the database fails. When Stripe does, the attempts are looked up again later.
pub async fn sweep(app: &Shared) -> db::Result<bool> {
    if app.stripe.is_none() {
        return Ok(false);
    }
    let now = app.clock.now();
    let sessions = store::unfinished(&app.db, now - UNHEARD, now).await?;
    for session in &sessions {
        // An event of our own making, so that a lookup goes the same way as everything else.
        let event = store::Event {
            id: format!("own_{session}_{}", now.seconds()),
            kind: "checkout.session.completed".to_owned(),
            object_id: Some(session.clone()),
            created_at: now,
        };
        store::remember(&app.db, &event, now).await?;
    }
    if !sessions.is_empty() {
        app.wake(EVENTS);
    }
    Ok(!sessions.is_empty())
}

/// Sends reminders that are due. While giving is closed they wait.
///
/// # Errors
/// When the database fails.
pub async fn remind(app: &Shared) -> db::Result<bool> {
    let now = app.clock.now();
    reminders::drop_stale(&app.db, now - 60 * DAY).await?;
    if app.stripe.is_none() {
        return Ok(false);
    }
    let due = reminders::due(&app.db, now).await?;
    for reminder in &due {
        let mut tx = app.db.begin().await?;
        let again = reminder_again_at(&reminder.month, reminder.asked_at).filter(|_| reminder.sent + 1 < REMINDERS);
        // Two processes may have read the same row; the count lets one of them go on.
        if !reminders::advance(&mut tx, reminder, again.unwrap_or(now)).await? {
            continue;
        }
        if let Some(message) = reminder_mail(app, reminder, again) {
            outbox::put(&mut tx, &app.keys, now, Note { kind: "reminder", once: None, message }).await?;
        }
        if again.is_none() {
            reminders::drop_one(&mut tx, reminder.id).await?;
        }
        tx.commit().await?;
    }
    if !due.is_empty() {
        app.wake(outbox::TASK);
    }
    Ok(!due.is_empty())
}

fn reminder_mail(app: &App, reminder: &reminders::Due, again: Option<Moment>) -> Option<crate::mail::Message> {
    let opened = app.keys.open(Drawer::Donors, &reminder.id.to_be_bytes(), &reminder.address_sealed);
    let to = opened.ok().and_then(|bytes| Address::parse(&String::from_utf8(bytes).ok()?).ok());
    let Some(to) = to else {
        tracing::error!(reminder = reminder.id, "a reminder's address does not open");
        return None;
    };
    let newsroom = app.newsroom();
    let least = Frequency::Monthly.minimum(newsroom.support.currencies.first()?);
    let token = app.keys.link(super::CANCEL, None, &reminder.id);
    let cancel = app.config.link(&format!("/support/remind/cancel/{token}"));
    let again = again.map(super::month_at);
    Some(house(app, reminder.language).reminder(to, reminder.asked_at, &reminder.month, again.as_deref(), least, cancel))
}

/// Removes what nobody needs any more.
///
/// # Errors
/// When the database fails.
pub async fn tidy(app: &Shared) -> db::Result<bool> {
    store::tidy(&app.db, app.clock.now() - KEEP).await?;
    Ok(false)
}
