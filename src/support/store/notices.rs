//! Which notices were written ahead of something.

use crate::clock::Moment;
use crate::db::{Db, Result, Tx};

/// Notes that a notice is written; false where it was before.
pub async fn note(tx: &mut Tx, gift_id: i64, what: &str, now: Moment) -> Result<bool> {
    let noted = tx
        .query(
            "INSERT INTO support_notices (gift_id, what, at) VALUES ($1, $2, $3) ON CONFLICT (gift_id, what) DO NOTHING",
        )
        .bind(gift_id)
        .bind(what.to_owned())
        .bind(now)
        .execute()
        .await?;
    Ok(noted > 0)
}

/// Whether a notice was written.
pub async fn is_noted(db: &Db, gift_id: i64, what: &str) -> Result<bool> {
    let found: Option<(i64,)> = db
        .read("SELECT at FROM support_notices WHERE gift_id = $1 AND what = $2")
        .bind(gift_id)
        .bind(what.to_owned())
        .optional()
        .await?;
    Ok(found.is_some())
}

/// Forgets the notices of gifts that are over. As long as a gift runs, so does the memory: a card that ran out and is
/// charged all the same is told once.
pub async fn tidy(db: &Db, before: Moment) -> Result<u64> {
    db.write(
        "DELETE FROM support_notices WHERE at < $1 AND gift_id IN (SELECT id FROM support_gifts WHERE state = 'ended')",
    )
    .bind(before)
    .execute()
    .await
}
