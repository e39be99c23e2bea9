//! What staff must look at.

use crate::clock::Moment;
use crate::db::{self, Db, Result, Tx};
use crate::support::alarms::Alarm;

/// Raises an alarm, once for each object.
pub async fn raise(tx: &mut Tx, alarm: Alarm, object_id: &str, now: Moment) -> Result<bool> {
    let raised = tx
        .query(
            "INSERT INTO support_alarms (id, kind, object_id, raised_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (kind, object_id) DO NOTHING",
        )
        .bind(db::new_id())
        .bind(alarm)
        .bind(object_id.to_owned())
        .bind(now)
        .execute()
        .await?;
    Ok(raised > 0)
}

/// An alarm that nobody has closed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Open {
    /// Its id.
    pub id: i64,
    /// What kind.
    pub kind: Alarm,
    /// Stripe's id of what it is about.
    pub object_id: String,
    /// When.
    pub raised_at: Moment,
}

/// The alarms that nobody has closed, newest first.
pub async fn open(db: &Db) -> Result<Vec<Open>> {
    db.read(
        "SELECT id, kind, object_id, raised_at FROM support_alarms WHERE closed_at IS NULL
         ORDER BY raised_at DESC, id LIMIT 50",
    )
    .all()
    .await
}

/// An alarm that was closed, with what was done.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Closed {
    /// What kind.
    pub kind: Alarm,
    /// Stripe's id of what it is about.
    pub object_id: String,
    /// When it was closed.
    pub closed_at: Moment,
    /// What they did.
    pub note: Option<String>,
}

/// The latest that were closed.
pub async fn closed(db: &Db) -> Result<Vec<Closed>> {
    db.read(
        "SELECT kind, object_id, closed_at, note FROM support_alarms WHERE closed_at IS NOT NULL
         ORDER BY closed_at DESC, id LIMIT 20",
    )
    .all()
    .await
}

/// Closes one; false where it was closed before.
pub async fn close(tx: &mut Tx, id: i64, note: Option<String>, now: Moment) -> Result<bool> {
    let closed = tx
        .query("UPDATE support_alarms SET closed_at = $2, note = $3 WHERE id = $1 AND closed_at IS NULL")
        .bind(id)
        .bind(now)
        .bind(note)
        .execute()
        .await?;
    Ok(closed > 0)
}

/// Takes the alarms of which staff have not been told, so that each is told once.
pub async fn take_untold(tx: &mut Tx, now: Moment) -> Result<Vec<Alarm>> {
    let rows: Vec<(Alarm,)> =
        tx.query("UPDATE support_alarms SET told_at = $1 WHERE told_at IS NULL RETURNING kind").bind(now).all().await?;
    Ok(rows.into_iter().map(|(kind,)| kind).collect())
}

/// Forgets what closed alarms were about, and what was noted: that there were some is enough later.
pub async fn tidy(db: &Db, before: Moment) -> Result<u64> {
    db.write(
        "UPDATE support_alarms SET note = NULL, object_id = 'closed ' || id
         WHERE closed_at < $1 AND object_id NOT LIKE 'closed %'",
    )
    .bind(before)
    .execute()
    .await
}
