//! What an event changes: the object is read from Stripe, and what it says becomes a `Change`.
//!
//! Reading and writing are two halves. This one asks Stripe and holds nothing open; [`write`](super::write) puts the change
//! down in one transaction, with the mails that it causes.

use crate::address::Address;
use crate::app::App;
use crate::clock::Moment;
use crate::db;
use crate::keys::Drawer;
use crate::mail::outbox;
use crate::money::{Currency, Money};
use crate::support::alarms::Alarm;
use crate::support::answers::{Charge, Invoice, Moved, PaymentIntent, Ref, Refund, Session, Subscription};
use crate::support::mail::Missed;
use crate::support::store::{self, Due, Outcome, figures};
use crate::support::stripe::{Stripe, StripeError};
use crate::support::task::end;
use crate::support::write::{manage_link, write};
use crate::support::{AttemptState, Choice, Frequency, Gift, GiftState, Line, LineKind, calls};
use crate::words::Language;

/// Why a refund or a dispute waits. The arrival of that payment looks for this, and hurries no other: each try counts.
pub(super) fn no_payment_yet(intent: &str) -> String {
    format!("its payment {intent} is not here yet")
}

/// The kinds of events that are applied, and so the ones a webhook should be set to send.
pub const KINDS: [&str; 24] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.upcoming",
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
    "payment_intent.payment_failed",
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
    #[error("{}", no_payment_yet(.0))]
    NoPaymentYet(String),
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
    let is_used = KINDS.contains(&event.kind.as_str());
    let Some(object) = event.object_id.as_deref().filter(|_| is_used) else {
        return Ok(end(app, event, Outcome::Ignored, None).await?);
    };
    let kind = event.kind.as_str();
    let change = if kind.starts_with("checkout.session.") {
        of_session(app, stripe, object).await?
    } else if kind.starts_with("customer.subscription.") || kind == "invoice.upcoming" {
        of_gift(app, stripe, object).await?
    } else if kind.starts_with("invoice.") {
        of_invoice(app, stripe, object).await?
    } else if kind == "payment_intent.payment_failed" {
        // Nothing is written about it: that it began here is what counts, see `challenge`.
        let intent = calls::payment_intent(stripe, object).await?;
        let outcome = if intent.began_at_checkout() { Outcome::Done } else { Outcome::Ignored };
        return Ok(end(app, event, outcome, None).await?);
    } else if kind == "charge.refunded" {
        of_charge(app, stripe, object).await?
    } else if kind.starts_with("charge.dispute.") {
        of_dispute(app, stripe, object).await?
    } else {
        let refund = calls::refund(stripe, object).await?;
        of_refunds(app, &[refund]).await?
    };
    let now = app.clock.now();
    let mut tx = app.db.begin_behind().await?;
    let outcome = if change.is_ours() { Outcome::Done } else { Outcome::Ignored };
    let written = write(app, &mut tx, change, now).await?;
    store::finish(&mut tx, event, outcome, None, written.gift_id, now).await?;
    tx.commit().await?;
    if written.mails {
        app.wake(outbox::TASK);
    }
    Ok(())
}

/// What an object says is to be changed here.
#[derive(Default)]
pub(super) struct Change {
    /// An attempt, its page at Checkout and its new state.
    pub attempt: Option<(i64, String, AttemptState)>,
    /// A delayed payment that failed: whom to tell, and about how much.
    pub missed: Option<(Letter, Money)>,
    /// A recurring gift.
    pub gift: Option<Reading>,
    /// Who gives, and how to write to them.
    pub giver: Option<Letter>,
    /// Payments and what came of them.
    pub lines: Vec<Line>,
    /// A renewal that failed: what to write, and the mark of this mail.
    pub failed: Option<(Missed, String)>,
    /// What staff must look at, and Stripe's id of what it is about.
    pub alarms: Vec<(Alarm, String)>,
    /// Whether a gift was ended here because a bank took a payment back: its giver is told so.
    pub disputed: bool,
}

/// A recurring gift as one read of it said.
pub(super) struct Reading {
    /// What it said.
    pub gift: Gift,
    /// The read's number: only the latest is applied.
    pub number: i64,
    /// The language of mails about it.
    pub language: Language,
    /// Who gives, as Stripe has them now.
    pub giver: Option<Letter>,
}

/// Whom to write to. The address comes from Stripe with the object, goes into the outbox sealed, and nowhere else.
#[derive(Clone)]
pub(super) struct Letter {
    /// The address.
    pub to: Address,
    /// The language.
    pub language: Language,
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
    let mut change = match session.subscription.as_ref().map(Ref::id) {
        Some(subscription) => of_gift(app, stripe, subscription).await?,
        None => Change::default(),
    };
    change.giver = change.giver.or_else(|| letter(session.email(), language));
    let is_unpaid = change.gift.as_ref().is_some_and(|reading| reading.gift.is_unpaid());
    let state = match state_of(&session) {
        // A recurring gift whose first payment, a debit, has come back. The session itself never says so.
        AttemptState::Pending if is_unpaid => AttemptState::Failed,
        state => state,
    };
    change.attempt = Some((attempt, session.id.clone(), state));
    if session.mode.as_deref() == Some("payment") {
        if state == AttemptState::Paid {
            let intent = session.payment_intent.as_ref().ok_or(Trouble::Lacks("a payment intent"))?;
            change.lines.push(once(app, &session, intent, attempt, change.giver.as_ref())?);
            what_came_with(app, intent.object(), intent.id(), &mut change);
        }
        if state == AttemptState::Failed {
            let amount = money(session.amount_total, session.currency.as_deref());
            change.missed = letter(session.email(), language).zip(amount);
        }
    }
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
fn once(
    app: &App,
    session: &Session,
    intent: &Ref<PaymentIntent>,
    attempt: i64,
    giver: Option<&Letter>,
) -> Result<Line, Trouble> {
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

/// Adds what a payment's charge tells beside the payment: Stripe's fee, and a country that staff must know of. `about` is
/// what the alarm is about.
fn what_came_with(app: &App, intent: Option<&PaymentIntent>, about: &str, change: &mut Change) {
    let Some(intent) = intent else { return };
    let Some(charge) = intent.latest_charge.as_ref().and_then(Ref::object) else { return };
    let moved = charge.balance_transaction.as_ref().and_then(Ref::object);
    change.lines.extend(moved.and_then(|moved| fee(&moved.id, moved, &intent.id)));
    if is_unsafe(app, charge) {
        change.alarms.push((Alarm::Country, about.to_owned()));
    }
}

fn is_unsafe(app: &App, charge: &Charge) -> bool {
    let Some(country) = charge.country() else { return false };
    app.newsroom().unsafe_countries.iter().any(|code| code.eq_ignore_ascii_case(country))
}

/// What Stripe kept of a movement, in the currency in which it settles.
pub(super) fn fee(object_id: &str, moved: &Moved, intent: &str) -> Option<Line> {
    let kept = money(Some(-moved.fee), moved.currency.as_deref()).filter(|kept| kept.minor != 0)?;
    Some(Line::of_payment(object_id.to_owned(), LineKind::Fee, intent, kept, moment(moved.created)))
}

async fn of_invoice(app: &App, stripe: &Stripe, id: &str) -> Result<Change, Trouble> {
    let invoice = calls::invoice(stripe, id).await?;
    let Some(subscription) = invoice.subscription() else { return Ok(Change::default()) };
    // The gift is read last: its reading must not be older than one that was begun meanwhile.
    let intent = match invoice.payment_intent().filter(|_| invoice.is_paid()) {
        Some(intent) => Some(calls::payment_intent(stripe, intent).await?),
        None => None,
    };
    let mut change = of_gift(app, stripe, subscription).await?;
    let Some(Reading { gift, language, .. }) = &change.gift else { return Ok(change) };
    change.giver = change.giver.or_else(|| letter(invoice.customer_email.as_deref(), *language));
    if invoice.is_paid() && invoice.amount_paid > 0 {
        change.lines.push(Line {
            object_id: invoice.id.clone(),
            kind: LineKind::Payment,
            payment_intent: invoice.payment_intent().map(str::to_owned),
            attempt_id: Some(gift.attempt_id),
            // As it was billed: by now the gift may have another rhythm.
            frequency: Some(invoice.frequency().unwrap_or(gift.frequency)),
            first: invoice.is_first(),
            money: money(Some(invoice.amount_paid), invoice.currency.as_deref()).ok_or(Trouble::Lacks("a currency"))?,
            at: moment(invoice.paid_at()),
            donor: change.giver.as_ref().map(|giver| app.keys.index(Drawer::Donors, &giver.to)),
        });
        if let Some(intent) = intent {
            let card = intent.latest_charge.as_ref().and_then(Ref::object).and_then(Charge::card_until);
            what_came_with(app, Some(&intent), subscription, &mut change);
            // Where the gift has a card of its own, that has been read with it.
            if let Some(Reading { gift, .. }) = &mut change.gift {
                gift.card_until = gift.card_until.take().or(card);
            }
        }
    } else if invoice.status.as_deref() == Some("open")
        && invoice.attempt_count > 0
        && gift.began
        && gift.state != GiftState::Ended
    {
        // Whose first card is refused is at Checkout and sees it; a renewal fails behind the giver's back, and so does a
        // debit that comes back after days. That a gift has ended by it is a mail of its own.
        change.failed = failed(app, stripe, &invoice, gift, change.giver.as_ref()).await?;
    }
    Ok(change)
}

/// What is said about a renewal that failed: once at the first try, once after the last.
async fn failed(
    app: &App,
    stripe: &Stripe,
    invoice: &Invoice,
    gift: &Gift,
    giver: Option<&Letter>,
) -> Result<Option<(Missed, String)>, Trouble> {
    let Some(giver) = giver else { return Ok(None) };
    let asks = match invoice.open_intent() {
        Some(intent) => calls::payment_intent(stripe, intent).await?.status.as_deref() == Some("requires_action"),
        None => false,
    };
    let is_last = invoice.next_payment_attempt.is_none() && invoice.attempt_count > 1;
    let missed = Missed {
        choice: Choice {
            frequency: gift.frequency,
            money: money(Some(invoice.amount_due), invoice.currency.as_deref()).unwrap_or(gift.money),
        },
        at: moment(invoice.created),
        again_at: invoice.next_payment_attempt.map(moment),
        is_last,
        link: manage_link(app, &giver.to),
        bank_link: invoice.hosted_invoice_url.clone().filter(|_| asks),
    };
    let mark = if is_last { format!("{} last", invoice.id) } else { invoice.id.clone() };
    Ok(Some((missed, mark)))
}

/// Reads a recurring gift. One that is not ours is no change.
pub(super) async fn of_gift(app: &App, stripe: &Stripe, id: &str) -> Result<Change, Trouble> {
    let number = store::begin_read(&app.db, id).await?;
    let subscription = calls::subscription(stripe, id).await?;
    read(app, &subscription, number).await
}

/// What Stripe's answer about a gift changes; `number` was taken before it was asked for.
async fn read(app: &App, subscription: &Subscription, number: i64) -> Result<Change, Trouble> {
    let Some(attempt) = subscription.attempt() else { return Ok(Change::default()) };
    let language = language_of(app, attempt).await?;
    let giver = letter(subscription.email(), language);
    let reading = Reading { gift: gift(subscription, attempt)?, number, language, giver: giver.clone() };
    Ok(Change { giver, gift: Some(reading), ..Change::default() })
}

/// Takes over Stripe's answer to something that was done to a gift here, as if an event had told it.
///
/// # Errors
/// When the database fails, or the answer lacks what a gift must have.
pub async fn keep_answer(app: &App, subscription: &Subscription, number: i64) -> Result<(), Trouble> {
    let change = read(app, subscription, number).await?;
    let mut tx = app.db.begin().await?;
    let written = write(app, &mut tx, change, app.clock.now()).await?;
    tx.commit().await?;
    if written.mails {
        app.wake(outbox::TASK);
    }
    Ok(())
}

/// A subscription as a gift.
pub fn gift(subscription: &Subscription, attempt_id: i64) -> Result<Gift, Trouble> {
    let currency = subscription.currency.as_deref().ok_or(Trouble::Lacks("a currency"))?;
    let status = subscription.status.as_deref().unwrap_or_default();
    let state = GiftState::of(status, subscription.pause_collection.is_some());
    let resumes = subscription.pause_collection.as_ref().and_then(|pause| pause.resumes_at);
    Ok(Gift {
        subscription_id: subscription.id.clone(),
        customer_id: subscription.customer.as_ref().map(|customer| customer.id().to_owned()),
        attempt_id,
        frequency: if subscription.interval() == Some("year") { Frequency::Annual } else { Frequency::Monthly },
        money: money(subscription.amount(), Some(currency)).ok_or(Trouble::Lacks("an amount"))?,
        state,
        began: !matches!(status, "incomplete" | "incomplete_expired"),
        started_at: moment(subscription.start_date.unwrap_or(subscription.created)),
        renews_at: subscription.renews_at().map(moment),
        paused_until: resumes.filter(|_| state == GiftState::Paused).map(moment),
        card_until: subscription.card_until(),
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
            return Err(Trouble::NoPaymentYet(intent.to_owned()));
        }
        if refund.status.as_deref() == Some("failed") {
            change.alarms.push((Alarm::RefundFailed, refund.id.clone()));
        }
        change.lines.extend(lines_of(refund)?);
    }
    Ok(change)
}

/// The lines of a refund: none before the money moves, one when it does, and a second when it comes back.
pub fn lines_of(refund: &Refund) -> Result<Vec<Line>, Trouble> {
    let status = refund.status.as_deref().unwrap_or_default();
    let moved = status == "succeeded" || refund.balance_transaction.is_some();
    let Some(intent) = refund.payment_intent().filter(|_| moved) else { return Ok(Vec::new()) };
    let given_back = money(Some(-refund.amount), refund.currency.as_deref()).ok_or(Trouble::Lacks("a currency"))?;
    let at = moment(refund.created);
    let mut lines = vec![Line::of_payment(refund.id.clone(), LineKind::Refund, intent, given_back, at)];
    if matches!(status, "failed" | "canceled") {
        let returned = Money::new(refund.amount, given_back.currency);
        let moved = refund.failure_balance_transaction.as_ref().and_then(Ref::object);
        let at = moved.map_or(at, |moved| moment(moved.created));
        lines.push(Line::of_payment(format!("{}:returned", refund.id), LineKind::Reversal, intent, returned, at));
    }
    Ok(lines)
}

async fn of_dispute(app: &App, stripe: &Stripe, id: &str) -> Result<Change, Trouble> {
    let dispute = calls::dispute(stripe, id).await?;
    let Some(intent) = dispute.payment_intent.as_ref().map(Ref::id) else { return Ok(Change::default()) };
    if !figures::has_payment(&app.db, intent).await? {
        return Err(Trouble::NoPaymentYet(intent.to_owned()));
    }
    let is_lost = dispute.status.as_deref() == Some("lost");
    let mut change = if is_lost { end_disputed(app, stripe, intent).await? } else { Change::default() };
    change.alarms.push((Alarm::Dispute, dispute.id.clone()));
    for moved in &dispute.balance_transactions {
        // In the currency in which Stripe settles, which may be another than the giver's.
        let currency = moved.currency.as_deref().or(dispute.currency.as_deref());
        let amount = money(Some(moved.amount), currency).ok_or(Trouble::Lacks("a currency"))?;
        change.lines.extend(lines_of_dispute(moved, intent, amount));
    }
    Ok(change)
}

/// Each movement of a dispute is a line: the amount taken, and the amount given back where it is won; what Stripe keeps
/// for it is another.
pub(super) fn lines_of_dispute(moved: &Moved, intent: &str, amount: Money) -> impl Iterator<Item = Line> {
    let kind = if moved.amount < 0 { LineKind::Dispute } else { LineKind::Reversal };
    let line = Line::of_payment(moved.id.clone(), kind, intent, amount, moment(moved.created));
    [Some(line), fee(&format!("{}:fee", moved.id), moved, intent)].into_iter().flatten()
}

/// Whoever had a payment of theirs taken back by their bank, for good, does not give any more: the next payment would be
/// disputed as well. Stripe leaves the subscription running.
async fn end_disputed(app: &App, stripe: &Stripe, intent: &str) -> Result<Change, Trouble> {
    let gift = store::gifts::of_payment(&app.db, intent).await?;
    let Some(gift) = gift.filter(|gift| gift.state != GiftState::Ended) else { return Ok(Change::default()) };
    let number = store::begin_read(&app.db, &gift.subscription_id).await?;
    let subscription = calls::end(stripe, &gift.subscription_id).await?;
    Ok(Change { disputed: true, ..read(app, &subscription, number).await? })
}

fn letter(email: Option<&str>, language: Language) -> Option<Letter> {
    Some(Letter { to: Address::parse(email?).ok()?, language })
}

async fn language_of(app: &App, attempt: i64) -> db::Result<Language> {
    Ok(store::attempt(&app.db, attempt).await?.map_or(Language::En, |attempt| attempt.language))
}

pub(super) fn money(minor: Option<i64>, currency: Option<&str>) -> Option<Money> {
    Some(Money::new(minor?, Currency::from_code(currency?).ok()?))
}

pub(super) fn moment(seconds: i64) -> Moment {
    Moment::from_millis(seconds.saturating_mul(1_000))
}
