//! What an event changes: the object is read from Stripe, and what it says is written in one transaction.
//!
//! Reading and writing are two halves. The first asks Stripe and makes a `Change`, holding nothing open; the second
//! writes it, with the mails that it causes. Whatever is written can be written again: lines are unique by Stripe's id,
//! attempts only move forward, a gift takes the answer of the latest read, and each mail has a mark of its own.

use data_encoding::BASE64;

use crate::address::Address;
use crate::app::App;
use crate::clock::Moment;
use crate::db::{self, Tx};
use crate::keys::Drawer;
use crate::mail::Message;
use crate::mail::outbox::{self, Note};
use crate::money::{Currency, Money};
use crate::support::answers::{Ref, Refund, Session, Subscription};
use crate::support::mail::{House, Missed, Paid};
use crate::support::store::{self, Due, Outcome, figures, reminders};
use crate::support::stripe::{Stripe, StripeError};
use crate::support::task::{KEEP, end};
use crate::support::{
    AttemptState, Choice, Frequency, Gift, GiftState, Line, LineKind, MANAGE, THANKS_LINK_LIFE, calls, mail,
};
use crate::words::Language;

/// Why a refund waits. The payment's arrival looks for this.
pub const NO_PAYMENT_YET: &str = "its payment is not here yet";

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
    /// A short code for the database and the staff page.
    pub fn code(&self) -> String {
        match self {
            Trouble::Stripe(error) => error.code(),
            Trouble::Db(_) => "database".to_owned(),
            other => other.to_string(),
        }
    }
}

/// Reads what an event is about and applies it, with the event's end in the same transaction.
pub(super) async fn apply(app: &App, stripe: &Stripe, event: &Due) -> Result<(), Trouble> {
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
            change.missed =
                letter(session.email(), language).zip(money(session.amount_total, session.currency.as_deref()));
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
            let intent =
                session.payment_intent.as_ref().and_then(Ref::object).and_then(|intent| intent.status.as_deref());
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
    ended(
        stripe,
        &subscription,
        Change { gift: Some((gift(&subscription, attempt)?, read, language)), ..Change::default() },
    )
    .await
}

/// Adds whom to write to where a gift has ended. One whose first payment never came had not begun.
async fn ended(stripe: &Stripe, subscription: &Subscription, mut change: Change) -> Result<Change, Trouble> {
    if let Some((gift, _, language)) =
        change.gift.as_ref().filter(|_| subscription.status.as_deref() == Some("canceled"))
    {
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
async fn put(
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

pub(super) fn house(app: &App, language: Language) -> House {
    mail::house(app.newsroom(), &app.config.base_url, language)
}

/// The address of a giver's own page, for mails that thank them.
fn manage_link(app: &App, to: &Address) -> String {
    let donor = app.keys.index(Drawer::Donors, to);
    let token = app.keys.link(MANAGE, Some(app.clock.now() + THANKS_LINK_LIFE), &BASE64.encode(&donor));
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
