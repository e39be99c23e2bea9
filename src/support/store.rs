//! The room's tables: attempts, events and the ledger here, the others each in a file of their own.

use crate::clock::Moment;
use crate::db::{Db, Result, Tx};
use crate::money::{Currency, Money};
use crate::support::{AttemptState, Choice, Frequency, Line};
use crate::words::Language;

pub mod alarms;
pub mod figures;
pub mod gifts;
pub mod notices;
pub mod reconciliations;
pub mod reminders;
pub mod turns;

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

/// How many presses and how many refused payments there were since then: what tells that somebody tries cards.
pub async fn tried(db: &Db, since: Moment) -> Result<(i64, i64)> {
    db.read(
        "SELECT (SELECT COUNT(*) FROM support_attempts WHERE created_at >= $1),
             (SELECT COUNT(*) FROM support_events
              WHERE kind = 'payment_intent.payment_failed' AND state = 'done' AND created_at >= $1)",
    )
    .bind(since)
    .one()
    .await
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
    /// When it came.
    pub received_at: Moment,
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

macro_rules! take {
    ($lock:literal) => {
        concat!(
            "UPDATE support_events SET lease = $1, next_at = $2, tries = tries + 1
             WHERE id IN (SELECT id FROM support_events WHERE state = 'waiting' AND next_at <= $3
                          ORDER BY next_at, created_at, id LIMIT $4",
            $lock,
            ")
             RETURNING id, kind, object_id, received_at, tries, lease"
        )
    };
}

/// Takes up to `limit` events that are due, until `until`: whoever dies with them, loses them then.
///
/// On PostgreSQL two who take at once would choose the same rows and wait for each other in turns, so each leaves out what
/// the other holds.
pub async fn take(db: &Db, lease: i64, now: Moment, until: Moment, limit: i64) -> Result<Vec<Due>> {
    db.write(if db.is_postgres() { take!(" FOR UPDATE SKIP LOCKED") } else { take!("") })
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
pub async fn finish(
    tx: &mut Tx,
    event: &Due,
    outcome: Outcome,
    problem: Option<String>,
    gift_id: Option<i64>,
    now: Moment,
) -> Result<()> {
    let state = match outcome {
        Outcome::Done => "done",
        Outcome::Ignored => "ignored",
        Outcome::Failed => "failed",
    };
    tx.query(
        "UPDATE support_events SET state = $2, problem = $3, finished_at = $4, gift_id = $5, lease = NULL WHERE id = $1",
    )
    .bind(event.id.clone())
    .bind(state)
    .bind(problem)
    .bind(now)
    .bind(gift_id)
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

/// Makes those due at once that were put off, or given up as somebody else's, for that reason.
pub async fn hurry(tx: &mut Tx, problem: &str, now: Moment) -> Result<()> {
    tx.query(
        "UPDATE support_events SET state = 'waiting', next_at = $2, finished_at = NULL
         WHERE problem = $1 AND ((state = 'waiting' AND next_at > $2) OR state = 'ignored')",
    )
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
    let mut tx = db.begin_behind().await?;
    let (number,) = tx
        .query(
            "INSERT INTO support_reads (object_id, started) VALUES ($1, 1)
             ON CONFLICT (object_id) DO UPDATE SET started = support_reads.started + 1 RETURNING started",
        )
        .bind(object_id.to_owned())
        .one()
        .await?;
    tx.commit().await?;
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
