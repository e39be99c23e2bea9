//! The room's tables: attempts, events, gifts and the ledger.

use crate::clock::Moment;
use crate::db::{Db, Result, Tx};
use crate::money::{Currency, Money};
use crate::support::{AttemptState, Choice, Frequency, Gift, GiftState, Line};
use crate::words::Language;

pub mod figures;
pub mod reminders;

/// One press of the button.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Attempt {
    /// Ours; the idempotency key is made of it.
    pub id: i64,
    /// How often.
    pub frequency: Frequency,
    currency: String,
    amount: i64,
    /// The language of the page on which it was pressed.
    pub language: Language,
    /// How far it has come.
    pub state: AttemptState,
    /// Stripe's id of the page at Checkout.
    pub session_id: Option<String>,
}

impl Attempt {
    /// What was chosen. `None` for a currency that cannot be: the row was changed by hand.
    pub fn choice(&self) -> Option<Choice> {
        let currency = Currency::from_code(&self.currency).ok()?;
        Some(Choice { frequency: self.frequency, money: Money::new(self.amount, currency) })
    }
}

/// Writes an attempt down, or finds the one that the same press made. `press` is `None` for callers without a form:
/// each of their calls is a press of its own.
pub async fn press(
    db: &Db,
    id: i64,
    press: Option<&[u8]>,
    choice: Choice,
    language: Language,
    now: Moment,
) -> Result<Attempt> {
    let mut tx = db.begin().await?;
    tx.query(
        "INSERT INTO support_attempts (id, press, frequency, currency, amount, language, state, created_at, looked_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'new', $7, $7) ON CONFLICT (press) DO NOTHING",
    )
    .bind(id)
    .bind(press.map(<[u8]>::to_vec))
    .bind(choice.frequency)
    .bind(choice.money.currency.code().to_owned())
    .bind(choice.money.minor)
    .bind(language)
    .bind(now)
    .execute()
    .await?;
    let attempt = tx
        .query(
            "SELECT id, frequency, currency, amount, language, state, session_id FROM support_attempts
             WHERE id = $1 OR press = $2",
        )
        .bind(id)
        .bind(press.map(<[u8]>::to_vec))
        .one()
        .await?;
    tx.commit().await?;
    Ok(attempt)
}

/// The attempt with that id.
pub async fn attempt(db: &Db, id: i64) -> Result<Option<Attempt>> {
    db.read("SELECT id, frequency, currency, amount, language, state, session_id FROM support_attempts WHERE id = $1")
        .bind(id)
        .optional()
        .await
}

/// The attempt that led to that page at Checkout.
pub async fn attempt_of(db: &Db, session_id: &str) -> Result<Option<Attempt>> {
    db.read(
        "SELECT id, frequency, currency, amount, language, state, session_id FROM support_attempts WHERE session_id = $1",
    )
    .bind(session_id.to_owned())
    .optional()
    .await
}

/// Moves an attempt forward; whether it was not there yet. Backward is not an error: it is old news.
pub async fn move_attempt(
    tx: &mut Tx,
    id: i64,
    session_id: Option<&str>,
    to: AttemptState,
    now: Moment,
) -> Result<bool> {
    let moved = tx
        .query(
            "UPDATE support_attempts SET state = $2, session_id = COALESCE(session_id, $3), looked_at = $4
             WHERE id = $1 AND $5 > CASE state WHEN 'new' THEN 0 WHEN 'refused' THEN 1 WHEN 'open' THEN 2
                 WHEN 'expired' THEN 3 WHEN 'pending' THEN 4 WHEN 'failed' THEN 5 ELSE 6 END",
        )
        .bind(id)
        .bind(to)
        .bind(session_id.map(str::to_owned))
        .bind(now)
        .bind(to.rank())
        .execute()
        .await?;
    Ok(moved > 0)
}

/// Attempts without an end that were not looked at since `before`; marks them as looked at.
pub async fn unfinished(db: &Db, before: Moment, now: Moment) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = db
        .write(
            "UPDATE support_attempts SET looked_at = $2 WHERE id IN (
                 SELECT id FROM support_attempts WHERE state IN ('open', 'pending') AND looked_at <= $1
                 ORDER BY looked_at LIMIT 20)
               AND looked_at <= $1 AND session_id IS NOT NULL
             RETURNING session_id",
        )
        .bind(before)
        .bind(now)
        .all()
        .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// What Stripe said has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Stripe's id of the event.
    pub id: String,
    /// Its type, such as `invoice.paid`.
    pub kind: String,
    /// The object it is about.
    pub object_id: Option<String>,
    /// When Stripe made it.
    pub created_at: Moment,
}

/// An event under our lease.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Due {
    /// Stripe's id of the event.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// The object it is about.
    pub object_id: Option<String>,
    /// How often it was tried, this time included.
    pub tries: i64,
    /// Our number on it.
    pub lease: i64,
}

/// Stores an event; whether it is new. One that was given up begins anew: somebody has sent it again.
pub async fn remember(db: &Db, event: &Event, now: Moment) -> Result<bool> {
    let stored = db
        .write(
            "INSERT INTO support_events (id, kind, object_id, created_at, received_at, state, next_at)
             VALUES ($1, $2, $3, $4, $5, 'waiting', $5)
             ON CONFLICT (id) DO UPDATE SET state = 'waiting', tries = 0, next_at = excluded.next_at, finished_at = NULL
             WHERE support_events.state = 'failed'",
        )
        .bind(event.id.clone())
        .bind(event.kind.clone())
        .bind(event.object_id.clone())
        .bind(event.created_at)
        .bind(now)
        .execute()
        .await?;
    Ok(stored > 0)
}

/// Takes up to `limit` events that are due, until `until`: whoever dies with them, loses them then.
pub async fn take(db: &Db, lease: i64, now: Moment, until: Moment, limit: i64) -> Result<Vec<Due>> {
    // The condition stands twice: on PostgreSQL two that chose the same row would else both take it.
    db.write(
        "UPDATE support_events SET lease = $1, next_at = $2, tries = tries + 1
         WHERE id IN (SELECT id FROM support_events WHERE state = 'waiting' AND next_at <= $3
                      ORDER BY next_at, created_at, id LIMIT $4)
           AND state = 'waiting' AND next_at <= $3
         RETURNING id, kind, object_id, tries, lease",
    )
    .bind(lease)
    .bind(until)
    .bind(now)
    .bind(limit)
    .all()
    .await
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Applied.
    Done,
    /// Not about a gift of ours.
    Ignored,
    /// Given up.
    Failed,
}

/// Ends an event, together with what it changed. No matter if our lease has run out: the change is made only once.
pub async fn finish(tx: &mut Tx, event: &Due, outcome: Outcome, problem: Option<String>, now: Moment) -> Result<()> {
    let state = match outcome {
        Outcome::Done => "done",
        Outcome::Ignored => "ignored",
        Outcome::Failed => "failed",
    };
    tx.query("UPDATE support_events SET state = $2, problem = $3, finished_at = $4, lease = NULL WHERE id = $1")
        .bind(event.id.clone())
        .bind(state)
        .bind(problem)
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Puts an event off, if it is still ours.
pub async fn put_off(db: &Db, event: &Due, until: Moment, problem: String) -> Result<()> {
    db.write("UPDATE support_events SET next_at = $3, problem = $4 WHERE id = $1 AND lease = $2 AND state = 'waiting'")
        .bind(event.id.clone())
        .bind(event.lease)
        .bind(until)
        .bind(problem)
        .execute()
        .await?;
    Ok(())
}

/// Makes those due at once that were put off for that reason.
pub async fn hurry(tx: &mut Tx, problem: &str, now: Moment) -> Result<()> {
    tx.query("UPDATE support_events SET next_at = $2 WHERE state = 'waiting' AND problem = $1 AND next_at > $2")
        .bind(problem.to_owned())
        .bind(now)
        .execute()
        .await?;
    Ok(())
}

/// Removes what was finished before `before`, longer ago than Stripe lists events.
pub async fn tidy(db: &Db, before: Moment) -> Result<u64> {
    db.write("DELETE FROM support_events WHERE finished_at < $1 AND state IN ('done', 'ignored')")
        .bind(before)
        .execute()
        .await
}

/// Takes a number before an object is read.
pub async fn begin_read(db: &Db, object_id: &str) -> Result<i64> {
    let (number,) = db
        .write(
            "INSERT INTO support_reads (object_id, started) VALUES ($1, 1)
             ON CONFLICT (object_id) DO UPDATE SET started = support_reads.started + 1 RETURNING started",
        )
        .bind(object_id.to_owned())
        .one()
        .await?;
    Ok(number)
}

/// Whether the answer to the read of that number is the latest, and may be applied.
pub async fn latest(tx: &mut Tx, object_id: &str, number: i64) -> Result<bool> {
    let latest = tx
        .query("UPDATE support_reads SET applied = $2 WHERE object_id = $1 AND applied < $2")
        .bind(object_id.to_owned())
        .bind(number)
        .execute()
        .await?;
    Ok(latest > 0)
}

/// What our row of a gift says.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct GiftRow {
    /// Ours.
    pub id: i64,
    /// Stripe's.
    pub subscription_id: String,
    /// Stripe's id of who gives.
    pub customer_id: Option<String>,
    /// How often.
    pub frequency: Frequency,
    currency: String,
    amount: i64,
    /// The language of mails about it.
    pub language: Language,
    /// Where it is in its life.
    pub state: GiftState,
    /// When it began.
    pub started_at: Moment,
    /// When the next payment is due.
    pub renews_at: Option<Moment>,
    /// When it is to end.
    pub ends_at: Option<Moment>,
    /// When it ended.
    pub ended_at: Option<Moment>,
}

impl GiftRow {
    /// How much each time.
    pub fn money(&self) -> Option<Money> {
        Currency::from_code(&self.currency).ok().map(|currency| Money::new(self.amount, currency))
    }
}

/// Writes a gift down as Stripe tells it. What has ended stays ended.
pub async fn keep_gift(tx: &mut Tx, id: i64, gift: &Gift, language: Language) -> Result<()> {
    tx.query(
        "INSERT INTO support_gifts (id, subscription_id, customer_id, attempt_id, frequency, currency, amount, language,
             state, started_at, renews_at, ends_at, ended_at, ended_why)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (subscription_id) DO UPDATE SET customer_id = excluded.customer_id, frequency = excluded.frequency,
             currency = excluded.currency, amount = excluded.amount, state = excluded.state,
             renews_at = excluded.renews_at, ends_at = excluded.ends_at, ended_at = excluded.ended_at,
             ended_why = excluded.ended_why
         WHERE support_gifts.state <> 'ended'",
    )
    .bind(id)
    .bind(gift.subscription_id.clone())
    .bind(gift.customer_id.clone())
    .bind(gift.attempt_id)
    .bind(gift.frequency)
    .bind(gift.money.currency.code().to_owned())
    .bind(gift.money.minor)
    .bind(language)
    .bind(gift.state)
    .bind(gift.started_at)
    .bind(gift.renews_at)
    .bind(gift.ends_at)
    .bind(gift.ended_at)
    .bind(gift.ended_why.clone())
    .execute()
    .await?;
    Ok(())
}

const GIFT: &str = "SELECT id, subscription_id, customer_id, frequency, currency, amount, language, state, started_at,
     renews_at, ends_at, ended_at FROM support_gifts WHERE subscription_id = $1";

/// The gift of that subscription.
pub async fn gift(db: &Db, subscription_id: &str) -> Result<Option<GiftRow>> {
    db.read(GIFT).bind(subscription_id.to_owned()).optional().await
}

/// The gift of that subscription, within a transaction.
pub async fn gift_in(tx: &mut Tx, subscription_id: &str) -> Result<Option<GiftRow>> {
    tx.query(GIFT).bind(subscription_id.to_owned()).optional().await
}

/// The gifts of whoever has that index, the running ones first.
pub async fn gifts_of(db: &Db, donor: &[u8]) -> Result<Vec<GiftRow>> {
    db.read(
        "SELECT id, subscription_id, customer_id, frequency, currency, amount, language, state, started_at, renews_at,
             ends_at, ended_at
         FROM support_gifts WHERE donor = $1 AND state <> 'pending'
         ORDER BY CASE state WHEN 'ended' THEN 1 ELSE 0 END, started_at DESC, id LIMIT 100",
    )
    .bind(donor.to_vec())
    .all()
    .await
}

/// Ties a gift to the index of who gives it.
pub async fn tie(tx: &mut Tx, subscription_id: &str, donor: &[u8]) -> Result<()> {
    tx.query("UPDATE support_gifts SET donor = $2 WHERE subscription_id = $1")
        .bind(subscription_id.to_owned())
        .bind(donor.to_vec())
        .execute()
        .await?;
    Ok(())
}

/// Cuts every tie between that index and what was given. Refused (false) while one of the gifts still runs.
pub async fn untie(tx: &mut Tx, donor: &[u8]) -> Result<bool> {
    let (living,): (i64,) = tx
        .query("SELECT COUNT(*) FROM support_gifts WHERE donor = $1 AND state <> 'ended'")
        .bind(donor.to_vec())
        .one()
        .await?;
    if living > 0 {
        return Ok(false);
    }
    tx.query("UPDATE support_gifts SET donor = NULL WHERE donor = $1").bind(donor.to_vec()).execute().await?;
    tx.query("UPDATE support_ledger SET donor = NULL WHERE donor = $1").bind(donor.to_vec()).execute().await?;
    Ok(true)
}

/// Adds a line to the ledger; whether it is new. Neither Stripe's id nor a payment's intent counts twice.
pub async fn add_line(tx: &mut Tx, line: &Line, gift_id: Option<i64>) -> Result<bool> {
    let added = tx
        .query(
            "INSERT INTO support_ledger (object_id, kind, payment_intent, gift_id, attempt_id, frequency, first, currency,
                 amount, at, donor)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        )
        .bind(line.object_id.clone())
        .bind(line.kind)
        .bind(line.payment_intent.clone())
        .bind(gift_id)
        .bind(line.attempt_id)
        .bind(line.frequency)
        .bind(line.first)
        .bind(line.money.currency.code().to_owned())
        .bind(line.money.minor)
        .bind(line.at)
        .bind(line.donor.clone())
        .execute()
        .await?;
    Ok(added > 0)
}
