//! Questions about the ledger and the gifts: for staff, for the giver's own page, for the reconciliation. Read only.

use crate::clock::Moment;
use crate::db::{Db, Result};
use crate::money::{Currency, Money};
use crate::support::{Frequency, GiftState, LineKind};

/// A line of the ledger as a page shows it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Entry {
    /// Stripe's id.
    pub object_id: String,
    /// What kind of movement.
    pub kind: LineKind,
    /// How often its payment is given.
    pub frequency: Option<Frequency>,
    currency: String,
    amount: i64,
    /// When it moved.
    pub at: Moment,
    /// Stripe's id of the payment it belongs to.
    pub payment_intent: Option<String>,
}

impl Entry {
    /// How much; below zero where it left us.
    pub fn money(&self) -> Option<Money> {
        Currency::from_code(&self.currency).ok().map(|currency| Money::new(self.amount, currency))
    }
}

/// The ledger, the newest first, from that line on.
pub async fn ledger(db: &Db, currency: &str, limit: i64, offset: i64) -> Result<Vec<Entry>> {
    db.read(
        "SELECT line.object_id, line.kind, COALESCE(line.frequency, paid.frequency) AS frequency, line.currency,
             line.amount, line.at, line.payment_intent
         FROM support_ledger line
         LEFT JOIN support_ledger paid ON paid.kind = 'payment' AND paid.payment_intent = line.payment_intent
         WHERE line.currency = $1
         ORDER BY line.at DESC, line.object_id DESC LIMIT $2 OFFSET $3",
    )
    .bind(currency.to_owned())
    .bind(limit)
    .bind(offset)
    .all()
    .await
}

/// A line of the ledger as the accountant gets it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    /// When it moved.
    pub at: Moment,
    /// What kind of movement.
    pub kind: LineKind,
    /// How often its payment is given.
    pub frequency: Option<Frequency>,
    /// ISO 4217.
    pub currency: String,
    amount: i64,
    /// Stripe's id of the movement.
    pub object_id: String,
    /// Stripe's id of the payment it belongs to.
    pub payment_intent: Option<String>,
    /// Stripe's id of the recurring gift it belongs to.
    pub subscription_id: Option<String>,
}

impl Row {
    /// How much; below zero where it left us.
    pub fn money(&self) -> Option<Money> {
        Currency::from_code(&self.currency).ok().map(|currency| Money::new(self.amount, currency))
    }
}

/// Some lines of the ledger between two moments, in all currencies, oldest first, behind the line of that moment and id.
pub async fn rows(db: &Db, from: Moment, to: Moment, after: (Moment, String), limit: i64) -> Result<Vec<Row>> {
    db.read(
        "SELECT line.at, line.kind, COALESCE(line.frequency, paid.frequency) AS frequency, line.currency, line.amount,
             line.object_id, line.payment_intent, gift.subscription_id
         FROM support_ledger line
         LEFT JOIN support_ledger paid ON paid.kind = 'payment' AND paid.payment_intent = line.payment_intent
         LEFT JOIN support_gifts gift ON gift.id = COALESCE(line.gift_id, paid.gift_id)
         WHERE line.at >= $1 AND line.at < $2 AND (line.at > $3 OR (line.at = $3 AND line.object_id > $4))
         ORDER BY line.at, line.object_id LIMIT $5",
    )
    .bind(from)
    .bind(to)
    .bind(after.0)
    .bind(after.1)
    .bind(limit)
    .all()
    .await
}

/// The lines of one gift, oldest first.
pub async fn of_gift(db: &Db, gift_id: i64) -> Result<Vec<Entry>> {
    db.read(
        "SELECT line.object_id, line.kind, COALESCE(line.frequency, paid.frequency) AS frequency, line.currency,
             line.amount, line.at, line.payment_intent
         FROM support_ledger line
         LEFT JOIN support_ledger paid ON paid.kind = 'payment' AND paid.payment_intent = line.payment_intent
         WHERE COALESCE(line.gift_id, paid.gift_id) = $1
         ORDER BY line.at, line.object_id LIMIT 1000",
    )
    .bind(gift_id)
    .all()
    .await
}

/// Whether a gift has been paid for in that rhythm.
pub async fn has_paid(db: &Db, gift_id: i64, frequency: Frequency) -> Result<bool> {
    let (count,): (i64,) = db
        .read("SELECT COUNT(*) FROM support_ledger WHERE gift_id = $1 AND kind = 'payment' AND frequency = $2")
        .bind(gift_id)
        .bind(frequency)
        .one()
        .await?;
    Ok(count > 0)
}

/// An event about a gift.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Told {
    /// Stripe's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// When Stripe made it.
    pub created_at: Moment,
}

/// The events about one gift that are still kept, oldest first.
pub async fn events_of(db: &Db, gift_id: i64) -> Result<Vec<Told>> {
    db.read("SELECT id, kind, created_at FROM support_events WHERE gift_id = $1 ORDER BY created_at, id LIMIT 1000")
        .bind(gift_id)
        .all()
        .await
}

/// What Stripe kept and what is left of what came in between two moments.
pub async fn after_fees(db: &Db, currency: &str, from: Moment, to: Moment) -> Result<i64> {
    let (sum,): (i64,) = db
        .read(
            "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM support_ledger
             WHERE currency = $1 AND at >= $2 AND at < $3",
        )
        .bind(currency.to_owned())
        .bind(from)
        .bind(to)
        .one()
        .await?;
    Ok(sum)
}

/// How many lines the ledger has in a currency.
pub async fn lines(db: &Db, currency: &str) -> Result<i64> {
    let (count,) =
        db.read("SELECT COUNT(*) FROM support_ledger WHERE currency = $1").bind(currency.to_owned()).one().await?;
    Ok(count)
}

/// All that whoever has that index has given and got back.
pub async fn given_by(db: &Db, donor: &[u8]) -> Result<Vec<Entry>> {
    db.read(
        "SELECT line.object_id, line.kind, paid.frequency AS frequency, line.currency, line.amount, line.at, line.payment_intent
         FROM support_ledger paid
         JOIN support_ledger line ON line.object_id = paid.object_id
             OR (line.payment_intent = paid.payment_intent AND line.kind NOT IN ('payment', 'fee'))
         WHERE paid.donor = $1 AND paid.kind = 'payment'
         ORDER BY line.at DESC, line.object_id LIMIT 500",
    )
    .bind(donor.to_vec())
    .all()
    .await
}

/// What came in between two moments, by frequency; what went back is taken from the frequency of its payment.
pub async fn received(db: &Db, currency: &str, from: Moment, to: Moment) -> Result<Vec<(Frequency, i64)>> {
    db.read(
        "SELECT COALESCE(line.frequency, paid.frequency, 'once') AS often, CAST(SUM(line.amount) AS BIGINT)
         FROM support_ledger line
         LEFT JOIN support_ledger paid ON paid.kind = 'payment' AND paid.payment_intent = line.payment_intent
         WHERE line.currency = $1 AND line.at >= $2 AND line.at < $3 AND line.kind <> 'fee'
         GROUP BY often ORDER BY often",
    )
    .bind(currency.to_owned())
    .bind(from)
    .bind(to)
    .all()
    .await
}

/// Recurring gifts of one kind and state: how many, and what they come to each time.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Standing {
    /// How often.
    pub frequency: Frequency,
    /// In what state.
    pub state: GiftState,
    /// How many.
    pub count: i64,
    /// What they come to in a month, in minor units: a twelfth of each annual one, rounded down.
    pub monthly: i64,
}

/// All recurring gifts in a currency that have not ended.
pub async fn standing(db: &Db, currency: &str) -> Result<Vec<Standing>> {
    db.read(
        "SELECT frequency, state, COUNT(*) AS count,
             CAST(SUM(CASE frequency WHEN 'annual' THEN amount / 12 ELSE amount END) AS BIGINT) AS monthly
         FROM support_gifts WHERE currency = $1 AND state IN ('active', 'failing', 'paused')
           AND id IN (SELECT gift_id FROM support_ledger WHERE kind = 'payment' AND gift_id IS NOT NULL)
         GROUP BY frequency, state ORDER BY frequency, state",
    )
    .bind(currency.to_owned())
    .all()
    .await
}

/// A gift whose renewal was refused.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Failing {
    /// Stripe's id.
    pub subscription_id: String,
    /// How often.
    pub frequency: Frequency,
    currency: String,
    amount: i64,
    /// When it was due.
    pub due_at: Option<Moment>,
}

impl Failing {
    /// How much each time.
    pub fn money(&self) -> Option<Money> {
        Currency::from_code(&self.currency).ok().map(|currency| Money::new(self.amount, currency))
    }
}

/// The gifts that fail.
pub async fn failing(db: &Db) -> Result<Vec<Failing>> {
    db.read(
        "SELECT subscription_id, frequency, currency, amount, renews_at AS due_at FROM support_gifts
         WHERE state = 'failing' ORDER BY renews_at DESC NULLS LAST, id LIMIT 100",
    )
    .all()
    .await
}

/// The currencies that the ledger holds, most used first.
pub async fn currencies(db: &Db) -> Result<Vec<String>> {
    let rows: Vec<(String,)> =
        db.read("SELECT currency FROM support_ledger GROUP BY currency ORDER BY COUNT(*) DESC, currency").all().await?;
    Ok(rows.into_iter().map(|(code,)| code).collect())
}

/// Events that wait longer than they should, and events that were given up.
pub async fn late_events(db: &Db, before: Moment) -> Result<(i64, i64)> {
    db.read(
        "SELECT COUNT(*) FILTER (WHERE state = 'waiting' AND received_at < $1), COUNT(*) FILTER (WHERE state = 'failed')
         FROM support_events",
    )
    .bind(before)
    .one()
    .await
}

/// An event that was given up.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct GivenUp {
    /// Stripe's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// When it came.
    pub received_at: Moment,
    /// Why, in a short code.
    pub problem: Option<String>,
}

/// The latest events that were given up.
pub async fn given_up(db: &Db) -> Result<Vec<GivenUp>> {
    db.read(
        "SELECT id, kind, received_at, problem FROM support_events WHERE state = 'failed'
         ORDER BY received_at DESC, id LIMIT 20",
    )
    .all()
    .await
}

/// Every line between two moments, for the reconciliation: object, currency, amount.
pub async fn between(db: &Db, from: Moment, to: Moment) -> Result<Vec<(String, String, i64)>> {
    db.read("SELECT object_id, currency, amount FROM support_ledger WHERE at >= $1 AND at < $2 ORDER BY at, object_id")
        .bind(from)
        .bind(to)
        .all()
        .await
}

/// Whether the ledger holds a line of that object.
pub async fn has_line(db: &Db, object_id: &str) -> Result<bool> {
    let found: Option<(i64,)> =
        db.read("SELECT amount FROM support_ledger WHERE object_id = $1").bind(object_id.to_owned()).optional().await?;
    Ok(found.is_some())
}

/// Whether the ledger holds a payment made by that intent.
pub async fn has_payment(db: &Db, payment_intent: &str) -> Result<bool> {
    let found: Option<(i64,)> = db
        .read("SELECT amount FROM support_ledger WHERE payment_intent = $1 AND kind = 'payment'")
        .bind(payment_intent.to_owned())
        .optional()
        .await?;
    Ok(found.is_some())
}
