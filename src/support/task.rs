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
use crate::db;
use crate::keys::Drawer;
use crate::mail::outbox::{self, Note};
use crate::support::apply::{Trouble, apply};
use crate::support::mail::house;
use crate::support::store::{self, Due, Outcome, reminders};
use crate::support::stripe::Stripe;
use crate::support::{Frequency, REMINDERS, alarms, challenge, notices, reconcile, reminder_again_at};
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
/// After so long a refund without a payment is somebody else's.
const FOREIGN: Duration = DAY;
const LEASE: Duration = Duration::from_secs(120);
const BATCH: i64 = 16;
/// An attempt without news for so long is looked up: its event may never have been made.
const UNHEARD: Duration = Duration::from_secs(6 * 3_600);
/// Stripe lists events for 30 days; ours are kept longer, so that a reconciliation knows them all.
pub(super) const KEEP: Duration = Duration::from_secs(45 * 24 * 3_600);

/// The room's tasks.
pub fn tasks() -> Vec<Task<Shared>> {
    vec![
        Task::new("card-testing", Duration::from_secs(30), |app: Shared| async move { challenge::watch(&app).await }),
        Task::new("giving-alarms", Duration::from_secs(60), |app: Shared| async move { alarms::tell(&app).await }),
        Task::new(EVENTS, Duration::from_secs(10), |app: Shared| async move { step(&app).await }),
        Task::new("stripe-attempts", Duration::from_secs(900), |app: Shared| async move { sweep(&app).await }),
        Task::new("gift-notices", Duration::from_secs(3_600), |app: Shared| async move { notices::step(&app).await }),
        Task::new(
            "stripe-reconcile",
            Duration::from_secs(600),
            |app: Shared| async move { reconcile::nightly(&app).await },
        ),
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
    if matches!(&trouble, Trouble::Stripe(error) if error.is_missing()) || is_foreign(&trouble, event, now) {
        return end(app, event, Outcome::Ignored, Some(trouble.code())).await;
    }
    match usize::try_from(event.tries - 1).ok().and_then(|tries| RETRY.get(tries)) {
        Some(pause) => {
            tracing::warn!(
                event = event.id,
                kind = event.kind,
                error = trouble.code(),
                "an event is tried again later"
            );
            store::put_off(&app.db, event, now + *pause, trouble.code()).await?;
            hurry_if_paid(app, &trouble, now).await
        }
        None => {
            tracing::error!(event = event.id, kind = event.kind, error = trouble.code(), "an event was given up");
            end(app, event, Outcome::Failed, Some(trouble.code())).await
        }
    }
}

/// The payment that an event waits for may have come while the event was being put off, and found nobody to hurry. So this
/// looks again, now that the event says what it waits for; what slips through here as well is tried again by the schedule.
async fn hurry_if_paid(app: &App, trouble: &Trouble, now: Moment) -> db::Result<()> {
    let Trouble::NoPaymentYet(intent) = trouble else { return Ok(()) };
    if !store::figures::has_payment(&app.db, intent).await? {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    store::hurry(&mut tx, &trouble.code(), now).await?;
    tx.commit().await
}

fn is_foreign(trouble: &Trouble, event: &Due, now: Moment) -> bool {
    matches!(trouble, Trouble::NoPaymentYet(_)) && event.received_at + FOREIGN < now
}

pub(super) async fn end(app: &App, event: &Due, outcome: Outcome, problem: Option<String>) -> db::Result<()> {
    let mut tx = app.db.begin().await?;
    store::finish(&mut tx, event, outcome, problem, None, app.clock.now()).await?;
    tx.commit().await
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
    let token = app.keys.link(crate::support::CANCEL, None, &reminder.id);
    let cancel = app.config.link(&format!("/support/remind/cancel/{token}"));
    let again = again.map(crate::support::month_at);
    Some(house(app, reminder.language).reminder(
        to,
        reminder.asked_at,
        &reminder.month,
        again.as_deref(),
        least,
        cancel,
    ))
}

/// Removes what nobody needs any more.
///
/// # Errors
/// When the database fails.
pub async fn tidy(app: &Shared) -> db::Result<bool> {
    let now = app.clock.now();
    store::tidy(&app.db, now - KEEP).await?;
    store::notices::tidy(&app.db, now - KEEP).await?;
    store::alarms::tidy(&app.db, now - KEEP).await?;
    store::reconciliations::tidy(&app.db, now - KEEP).await?;
    Ok(false)
}
