//! How the comparisons with Stripe went.

use crate::clock::Moment;
use crate::db::{self, Db, Result};

/// One comparison, as it was.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Run {
    /// When.
    pub at: Moment,
    /// How many days back it looked.
    pub days: i64,
    /// How many events Stripe had.
    pub events: i64,
    /// How many of them had never come.
    pub taken_in: i64,
    /// The sums of both sides by currency, as JSON.
    pub sums: String,
    /// What differed, as JSON.
    pub differences: String,
}

/// Writes one down.
pub async fn keep(db: &Db, run: &Run) -> Result<()> {
    db.write(
        "INSERT INTO support_reconciliations (id, at, days, events, taken_in, sums, differences)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(db::new_id())
    .bind(run.at)
    .bind(run.days)
    .bind(run.events)
    .bind(run.taken_in)
    .bind(run.sums.clone())
    .bind(run.differences.clone())
    .execute()
    .await?;
    Ok(())
}

/// The last one that looked back at least so many days.
pub async fn last(db: &Db, days: i64) -> Result<Option<Run>> {
    db.read(
        "SELECT at, days, events, taken_in, sums, differences FROM support_reconciliations
         WHERE days >= $1 ORDER BY at DESC, id LIMIT 1",
    )
    .bind(days)
    .optional()
    .await
}

/// Forgets the old ones.
pub async fn tidy(db: &Db, before: Moment) -> Result<u64> {
    db.write("DELETE FROM support_reconciliations WHERE at < $1").bind(before).execute().await
}
