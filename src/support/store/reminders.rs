//! Reminders: addresses, sealed, until the last mail has gone.

use crate::clock::Moment;
use crate::db::{Db, Result, Tx};
use crate::words::Language;

/// A reminder whose time has come.
#[derive(Clone, sqlx::FromRow)]
pub struct Due {
    /// Ours; the seal is bound to it.
    pub id: i64,
    /// The address.
    pub address_sealed: Vec<u8>,
    /// The month that was chosen.
    pub month: String,
    /// The language of the mail.
    pub language: Language,
    /// How many mails have gone.
    pub sent: i64,
    /// When it was confirmed.
    pub asked_at: Moment,
}

/// A confirmed reminder to be kept.
pub struct Wish {
    /// A new id; the seal is bound to it.
    pub id: i64,
    /// The sealed address.
    pub address_sealed: Vec<u8>,
    /// The donors' index of it.
    pub address_index: Vec<u8>,
    /// The month that was chosen.
    pub month: String,
    /// The language of the mails.
    pub language: Language,
    /// Now.
    pub asked_at: Moment,
    /// When the first mail goes.
    pub next_at: Moment,
}

/// Keeps a reminder in the place of any that the address had.
pub async fn keep(tx: &mut Tx, wish: &Wish) -> Result<()> {
    drop_for(tx, &wish.address_index).await?;
    tx.query(
        "INSERT INTO support_reminders (id, address_sealed, address_index, month, language, sent, asked_at, next_at)
         VALUES ($1, $2, $3, $4, $5, 0, $6, $7)
         ON CONFLICT (address_index) DO NOTHING",
    )
    .bind(wish.id)
    .bind(wish.address_sealed.clone())
    .bind(wish.address_index.clone())
    .bind(wish.month.clone())
    .bind(wish.language)
    .bind(wish.asked_at)
    .bind(wish.next_at)
    .execute()
    .await?;
    Ok(())
}

/// Forgets the reminder of an address: it has given, or asks anew.
pub async fn drop_for(tx: &mut Tx, address_index: &[u8]) -> Result<()> {
    tx.query("DELETE FROM support_reminders WHERE address_index = $1").bind(address_index.to_vec()).execute().await?;
    Ok(())
}

/// Forgets one reminder, by the button in its mail or because its last mail went.
pub async fn drop_one(tx: &mut Tx, id: i64) -> Result<()> {
    tx.query("DELETE FROM support_reminders WHERE id = $1").bind(id).execute().await?;
    Ok(())
}

/// The reminder of an address: its month, and when its next mail goes.
pub async fn of(db: &Db, address_index: &[u8]) -> Result<Option<(String, Moment)>> {
    db.read("SELECT month, next_at FROM support_reminders WHERE address_index = $1")
        .bind(address_index.to_vec())
        .optional()
        .await
}

/// Some that are due.
pub async fn due(db: &Db, now: Moment) -> Result<Vec<Due>> {
    db.read(
        "SELECT id, address_sealed, month, language, sent, asked_at FROM support_reminders
         WHERE next_at <= $1 ORDER BY next_at, id LIMIT 50",
    )
    .bind(now)
    .all()
    .await
}

/// Counts a mail; false where another process was first. `next_at` is when the next one goes.
pub async fn advance(tx: &mut Tx, reminder: &Due, next_at: Moment) -> Result<bool> {
    let advanced = tx
        .query("UPDATE support_reminders SET sent = sent + 1, next_at = $3 WHERE id = $1 AND sent = $2")
        .bind(reminder.id)
        .bind(reminder.sent)
        .bind(next_at)
        .execute()
        .await?;
    Ok(advanced > 0)
}

/// Forgets those whose time passed long ago, while giving was closed.
pub async fn drop_stale(db: &Db, before: Moment) -> Result<u64> {
    db.write("DELETE FROM support_reminders WHERE next_at < $1").bind(before).execute().await
}
