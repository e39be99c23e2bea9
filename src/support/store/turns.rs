//! Turns in gifts' lives, and what can be counted by them.

use crate::clock::Moment;
use crate::db::{self, Db, Result, Tx};
use crate::support::turns::Turn;

/// Writes a turn down, in the transaction that makes it.
pub async fn add(tx: &mut Tx, gift_id: i64, turn: Turn, worth: i64, at: Moment, detail: Option<String>) -> Result<()> {
    tx.query("INSERT INTO support_turns (id, gift_id, what, at, worth, detail) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(db::new_id())
        .bind(gift_id)
        .bind(turn)
        .bind(at)
        .bind(worth)
        .bind(detail)
        .execute()
        .await?;
    Ok(())
}

/// A turn as staff see it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Entry {
    /// What happened.
    pub what: Turn,
    /// When.
    pub at: Moment,
    /// An amount, a date or Stripe's word for why.
    pub detail: Option<String>,
}

/// All turns of a gift, oldest first.
pub async fn of_gift(db: &Db, gift_id: i64) -> Result<Vec<Entry>> {
    db.read("SELECT what, at, detail FROM support_turns WHERE gift_id = $1 ORDER BY at, id LIMIT 500")
        .bind(gift_id)
        .all()
        .await
}

/// How many turns of a kind there were, and what they changed in a month, in minor units.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Count {
    /// What happened.
    pub what: Turn,
    /// How often.
    pub count: i64,
    /// By how much the monthly worth changed.
    pub worth: i64,
}

/// The turns between two moments, of gifts in a currency that had at least one payment.
pub async fn between(db: &Db, currency: &str, from: Moment, to: Moment) -> Result<Vec<Count>> {
    db.read(
        "SELECT what, COUNT(*) AS count, CAST(SUM(worth) AS BIGINT) AS worth FROM support_turns
         WHERE at >= $2 AND at < $3
           AND gift_id IN (SELECT id FROM support_gifts WHERE currency = $1)
           AND gift_id IN (SELECT gift_id FROM support_ledger WHERE kind = 'payment' AND gift_id IS NOT NULL)
         GROUP BY what ORDER BY what",
    )
    .bind(currency.to_owned())
    .bind(from)
    .bind(to)
    .all()
    .await
}
