//! What the watch needs to know of the database. It only looks.

use crate::db::{Db, Result};

/// Answers when the database does.
pub async fn ping(db: &Db) -> Result<()> {
    db.read("SELECT CAST(1 AS BIGINT)").one::<(i64,)>().await.map(|_| ())
}

/// Whether a table may be made and filled: what a migration and every day's work need. Nothing of it is kept.
pub async fn try_to_write(db: &Db) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.query("CREATE TABLE check_of_writing (x BIGINT)").execute().await?;
    tx.query("INSERT INTO check_of_writing (x) VALUES (1)").execute().await?;
    drop(tx);
    Ok(())
}

/// What this database keeps to recognise its key by; `None` before the first start.
pub async fn key_mark(db: &Db) -> Result<Option<Vec<u8>>> {
    let row: Option<(Vec<u8>,)> = db.read("SELECT value FROM house WHERE name = 'key'").optional().await?;
    Ok(row.map(|(value,)| value))
}

/// Whether there are tables, and how many others are connected. PostgreSQL only.
pub async fn occupied(db: &Db) -> Result<(bool, i64)> {
    // One statement, for one connection: a second one of our own pool would look like somebody at work.
    let (tables, others): (i64, i64) = db
        .read(
            "SELECT (SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema()),
                    (SELECT COUNT(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend')",
        )
        .one()
        .await?;
    Ok((tables > 0, others))
}

/// Mails that wait in the outbox.
pub async fn mails_waiting(db: &Db) -> Result<i64> {
    count(db.read("SELECT COUNT(*) FROM outbox WHERE state = 'waiting'").one().await)
}

/// Readers who wait for an issue that is going out.
pub async fn deliveries_waiting(db: &Db) -> Result<i64> {
    // The counts of a run move with its rows, of which there may be a million.
    let waiting = "SELECT CAST(COALESCE(SUM(readers - sent - failed - skipped), 0) AS BIGINT)
                   FROM delivery_runs WHERE finished_at IS NULL";
    count(db.read(waiting).one().await)
}

/// Feeds whose last reading failed.
pub async fn feeds_failing(db: &Db) -> Result<i64> {
    count(db.read("SELECT COUNT(*) FROM feeds WHERE failures > 0").one().await)
}

fn count(row: Result<(i64,)>) -> Result<i64> {
    row.map(|(n,)| n)
}
