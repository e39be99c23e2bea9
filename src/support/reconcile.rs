//! What Stripe says and what we say, held against each other, line by line.
//!
//! First what we never heard of is taken in: Stripe's events of the time asked for (it lists thirty days) go the same
//! way as if they had come to the webhook. Then Stripe's own lists (sessions, invoices, refunds, and the movements of its
//! balance, which tell of fees and disputes) are read. Each movement that is ours must be in the ledger with its amount, and
//! each line of the ledger must be in the lists.
//!
//! It runs each night, and the staff page says how it went.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::tz::TimeZone;
use std::time::Duration;

use crate::app::Shared;
use crate::clock::{DAY, Moment};
use crate::db;
use crate::money::{Currency, Money};
use crate::support::alarms::Alarm;
use crate::support::answers::Ref;
use crate::support::apply::{self, KINDS, Trouble};
use crate::support::store::{self, alarms, figures, gifts, reconciliations};
use crate::support::stripe::Stripe;
use crate::support::task;
use crate::support::{Line, calls};

/// How far back is looked where nothing else is asked: as far as Stripe lists events.
pub const DEFAULT_DAYS: u32 = 30;
/// Stripe takes so many types at once.
const KINDS_AT_ONCE: usize = 20;

/// What the comparison found.
#[derive(Debug, Default)]
pub struct Report {
    /// How many days back it looked.
    pub days: i64,
    /// Events read at Stripe, and how many of them were news.
    pub events: usize,
    /// Events that had never come.
    pub taken_in: usize,
    /// For each currency what Stripe says and what we say, in minor units.
    pub sums: BTreeMap<String, (i64, i64)>,
    /// One for each movement that is not the same on both sides.
    pub differences: Vec<Difference>,
}

/// A movement that is not the same on both sides.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// Stripe's id.
    pub object: String,
    /// Its currency.
    pub currency: String,
    /// What Stripe says, if anything.
    pub stripe: Option<i64>,
    /// What we say, if anything.
    pub ours: Option<i64>,
}

impl Report {
    /// Whether both sides say the same.
    pub fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    /// The report as it is kept for the staff page.
    fn run(&self, at: Moment) -> reconciliations::Run {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        reconciliations::Run {
            at,
            days: self.days,
            events: count(self.events),
            taken_in: count(self.taken_in),
            // OK because texts and numbers always have a JSON form.
            sums: serde_json::to_string(&self.sums).expect("a JSON form"),
            differences: serde_json::to_string(&self.differences).expect("a JSON form"), // OK because of the same.
        }
    }
}

/// From when to when movements are compared. What moves while Stripe's lists are read is on one side only: who compares by
/// itself ends an hour ago.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first moment.
    pub since: Moment,
    /// The first moment that is not compared any more.
    pub until: Moment,
}

/// A movement at Stripe.
struct Movement {
    currency: String,
    amount: i64,
    at: Moment,
    /// The event that would have told of it: its type and object.
    event: Option<(&'static str, String)>,
}

/// Takes in what never came and compares.
///
/// # Errors
/// When Stripe or the database fails; nothing is half done, and it can be run again.
pub async fn reconcile(app: &Shared, stripe: &Stripe, span: Span) -> Result<Report, Trouble> {
    let now = app.clock.now();
    // To the nearest: a second more or less is no day.
    let days = (span.until.since(span.since) + DAY / 2).as_secs() / DAY.as_secs();
    let mut report = Report { days: i64::try_from(days).unwrap_or(i64::MAX), ..Report::default() };
    for kinds in KINDS.chunks(KINDS_AT_ONCE) {
        // Oldest first, as they would have come. A bill that is to come is no news any more.
        for event in calls::events(stripe, kinds, span.since).await?.into_iter().rev() {
            report.events += 1;
            let event = store::Event {
                id: event.id,
                kind: event.kind,
                object_id: event.data.object.id.filter(|id| !id.starts_with("upcoming_")),
                created_at: Moment::from_millis(event.created * 1_000),
            };
            report.taken_in += usize::from(store::remember(&app.db, &event, now).await?);
        }
    }
    while task::step(app).await? {}
    let mut theirs = at_stripe(app, stripe, span).await?;
    let unheard = take_in_unheard(app, &theirs, now).await?;
    if unheard > 0 {
        // Fees and disputes are told of payments that we know.
        theirs = at_stripe(app, stripe, span).await?;
    }
    report.taken_in += unheard;
    compare(app, &theirs, span, &mut report).await?;
    reconciliations::keep(&app.db, &report.run(now)).await?;
    Ok(report)
}

/// Some events are never made. A movement that only Stripe knows is looked up as if its event had come.
async fn take_in_unheard(app: &Shared, theirs: &HashMap<String, Movement>, now: Moment) -> Result<usize, Trouble> {
    let mut taken_in = 0;
    for (id, movement) in theirs {
        let Some((kind, object)) = &movement.event else { continue };
        if figures::has_line(&app.db, id).await? {
            continue;
        }
        let event = store::Event {
            id: format!("own_{id}_{}", now.seconds()),
            kind: (*kind).to_owned(),
            object_id: Some(object.clone()),
            created_at: movement.at,
        };
        taken_in += usize::from(store::remember(&app.db, &event, now).await?);
    }
    while task::step(app).await? {}
    Ok(taken_in)
}

/// Runs the comparison in the small hours, once a night, and raises an alarm where the two sides differ. What fails is
/// tried again at the next run.
///
/// # Errors
/// When the database fails.
pub async fn nightly(app: &Shared) -> db::Result<bool> {
    let Some(stripe) = &app.stripe else { return Ok(false) };
    let now = app.clock.now();
    let last = reconciliations::last(&app.db, i64::from(DEFAULT_DAYS) - 1).await?.map(|run| run.at);
    if !is_due(last, now, &app.newsroom().zone()) {
        return Ok(false);
    }
    match reconcile(app, stripe, Span { since: now - DEFAULT_DAYS * DAY, until: now - Duration::from_secs(3_600) })
        .await
    {
        Ok(report) if report.is_equal() => {
            tracing::info!(events = report.events, taken_in = report.taken_in, "Stripe and we say the same");
        }
        Ok(report) => {
            tracing::error!(differences = report.differences.len(), "Stripe and we do not say the same");
            let mut tx = app.db.begin().await?;
            let day = now.to_jiff().strftime("%Y-%m-%d").to_string();
            alarms::raise(&mut tx, Alarm::Differs, &day, now).await?;
            tx.commit().await?;
        }
        Err(error) => tracing::warn!(error = error.code(), "the nightly comparison is tried again later"),
    }
    Ok(false)
}

/// Once a night from three o'clock on; at any hour where more than a night was missed.
fn is_due(last: Option<Moment>, now: Moment, zone: &TimeZone) -> bool {
    let hour = now.to_jiff().to_zoned_datetime(zone.clone()).hour();
    let is_night = (3..6).contains(&hour);
    match last {
        None => is_night,
        Some(last) => (is_night && last + DAY / 2 < now) || last + DAY * 5 / 4 < now,
    }
}

async fn compare(
    app: &Shared,
    theirs: &HashMap<String, Movement>,
    span: Span,
    report: &mut Report,
) -> Result<(), Trouble> {
    let lines = figures::between(&app.db, span.since, span.until).await?;
    let ours: HashMap<String, (String, i64)> =
        lines.into_iter().map(|(object, currency, amount)| (object, (currency, amount))).collect();
    let in_time = theirs.iter().filter(|(_, movement)| movement.at < span.until);
    let theirs: HashMap<&String, (String, i64)> =
        in_time.map(|(object, movement)| (object, (movement.currency.clone(), movement.amount))).collect();
    let objects: HashSet<&String> = theirs.keys().copied().chain(ours.keys()).collect();
    for object in objects {
        let (their, our) = (theirs.get(object), ours.get(object));
        // Stripe lists by when an object was made, the ledger knows when the money moved: at the edge of the time asked
        // for, one side may have it earlier.
        if our.is_none() && figures::has_line(&app.db, object).await? {
            continue;
        }
        if let Some((currency, amount)) = their {
            report.sums.entry(currency.clone()).or_default().0 += amount;
        }
        if let Some((currency, amount)) = our {
            report.sums.entry(currency.clone()).or_default().1 += amount;
        }
        let Some(currency) = their.or(our).map(|(currency, _)| currency.clone()).filter(|_| their != our) else {
            continue;
        };
        let (stripe, ours) = (their.map(|(_, amount)| *amount), our.map(|(_, amount)| *amount));
        report.differences.push(Difference { object: object.clone(), currency, stripe, ours });
    }
    report.differences.sort_by(|a, b| a.object.cmp(&b.object));
    Ok(())
}

/// Every movement at Stripe that is ours, by the id of its line.
async fn at_stripe(app: &Shared, stripe: &Stripe, span: Span) -> Result<HashMap<String, Movement>, Trouble> {
    let mut found = HashMap::new();
    let mut intents = HashSet::new();
    // Invoices and sessions are made before they are paid; two months earlier is early enough for both.
    let earlier = span.since - Duration::from_secs(62 * 24 * 3_600);
    for invoice in calls::invoices(stripe, earlier).await? {
        let ours = match (invoice.attempt(), invoice.subscription()) {
            (Some(_), _) => true,
            (None, Some(subscription)) => gifts::of_subscription(&app.db, subscription).await?.is_some(),
            (None, None) => false,
        };
        if !ours || !invoice.is_paid() || invoice.amount_paid == 0 {
            continue;
        }
        intents.extend(invoice.payment_intent().map(str::to_owned));
        let movement = Movement {
            currency: code(invoice.currency.as_deref()),
            amount: invoice.amount_paid,
            at: apply::moment(invoice.paid_at()),
            event: Some(("invoice.paid", invoice.id.clone())),
        };
        found.insert(invoice.id, movement);
    }
    for session in calls::sessions(stripe, earlier).await? {
        let is_paid = session.payment_status.as_deref() == Some("paid") && session.mode.as_deref() == Some("payment");
        let Some(intent) = session.payment_intent.as_ref().filter(|_| is_paid && session.attempt().is_some()) else {
            continue;
        };
        intents.insert(intent.id().to_owned());
        let movement = Movement {
            currency: code(session.currency.as_deref()),
            amount: session.amount_total.unwrap_or_default(),
            at: apply::moment(intent.object().map_or(session.created, |intent| intent.moved_at())),
            event: Some(("checkout.session.completed", session.id.clone())),
        };
        found.insert(intent.id().to_owned(), movement);
    }
    for refund in calls::refunds(stripe, earlier).await? {
        let intent = refund.payment_intent.as_ref().map(Ref::id).unwrap_or_default();
        if intents.contains(intent) || figures::has_payment(&app.db, intent).await? {
            let event = Some(("refund.updated", refund.id.clone()));
            found.extend(apply::lines_of(&refund)?.into_iter().map(|line| told(line, event.clone())));
        }
    }
    balance(app, stripe, span.since, &mut found).await?;
    found.retain(|_, movement| movement.at >= span.since);
    Ok(found)
}

fn told(line: Line, event: Option<(&'static str, String)>) -> (String, Movement) {
    let (currency, amount) = (line.money.currency.code().to_owned(), line.money.minor);
    (line.object_id, Movement { currency, amount, at: line.at, event })
}

/// What the balance says beside payments and refunds: fees and disputes. One that we do not know is put into the ledger
/// here, since it needs nobody to be told: Stripe may settle a charge after its event.
async fn balance(
    app: &Shared,
    stripe: &Stripe,
    since: Moment,
    found: &mut HashMap<String, Movement>,
) -> Result<(), Trouble> {
    for moved in calls::movements(stripe, since).await? {
        let Some(source) = moved.source.as_ref().and_then(Ref::object) else { continue };
        let intent = source.payment_intent.as_ref().map(Ref::id).unwrap_or_default();
        let amount = apply::money(Some(moved.amount), moved.currency.as_deref());
        let lines: Vec<Line> = match (source.object.as_str(), amount) {
            // A debit that was paid and sent back weeks later is taken back like a disputed payment.
            ("charge", Some(amount)) if moved.amount < 0 => apply::lines_of_dispute(&moved, intent, amount).collect(),
            ("charge", _) => apply::fee(&moved.id, &moved, intent).into_iter().collect(),
            ("dispute", Some(amount)) => apply::lines_of_dispute(&moved, intent, amount).collect(),
            _ => continue,
        };
        if lines.is_empty() || !figures::has_payment(&app.db, intent).await? {
            continue;
        }
        let mut tx = app.db.begin_behind().await?;
        for line in &lines {
            store::add_line(&mut tx, line, None).await?;
        }
        tx.commit().await?;
        found.extend(lines.into_iter().map(|line| told(line, None)));
    }
    Ok(())
}

fn code(currency: Option<&str>) -> String {
    currency.unwrap_or_default().to_uppercase()
}

/// An amount for a person, or "nothing".
pub fn shown(currency: &str, amount: Option<i64>) -> String {
    match (Currency::from_code(currency), amount) {
        (Ok(currency), Some(minor)) => format!("{} {}", Money::new(minor, currency).plain(), currency),
        _ => "nothing".to_owned(),
    }
}
