//! Readers in the database.

pub mod import;
pub mod newcomers;
pub mod stretch;

use super::{Edition, MOVE_KEPT, Reason, SUPPRESSED_FOR, Standing, open_address};
use crate::address::Address;
use crate::clock::Moment;
use crate::db::{self, Db, Tx};
use crate::keys::{Drawer, KeyError, Keys};
use crate::words::Language;

/// What is kept of a reader, but for the address.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Subscriber {
    /// Random.
    pub id: i64,
    /// Their choice, where they made one.
    pub language: Option<String>,
    /// How they want it.
    pub edition: String,
    /// Do not name the newsroom in sender and subject.
    pub discreet: bool,
    /// Leave out the requests for support.
    pub no_asks: bool,
    /// Nothing is sent before.
    pub paused_until: Option<Moment>,
}

/// What somebody reads and when they agreed to it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct Subscription {
    /// The newsletter's slug.
    pub newsletter: String,
    /// The Monday of that week.
    pub consent_week: Moment,
    /// The words they agreed to.
    pub consent: Option<String>,
}

/// How many read, pause and are not to be written to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Slug and readers.
    pub newsletters: Vec<(String, i64)>,
    /// Readers in all.
    pub readers: i64,
    /// Of those, paused.
    pub paused: i64,
    /// Marks of those who left or bounced.
    pub suppressed: i64,
}

/// An address could not be read: the database or the key.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// How an address stands to a newsletter: one question, whatever the answer.
pub async fn standing(db: &Db, index: &[u8], newsletter: &str, now: Moment) -> db::Result<Standing> {
    let (reading, paused, suppressed): (i64, i64, i64) = db
        .read(
            "SELECT (SELECT COUNT(*) FROM subscribers s JOIN subscriptions x ON x.subscriber_id = s.id
                     WHERE s.address_index = $1 AND x.newsletter = $2),
                    (SELECT COUNT(*) FROM subscribers WHERE address_index = $1 AND paused_until > $3),
                    (SELECT COUNT(*) FROM suppressions WHERE address_index = $1 AND until > $3)",
        )
        .bind(index.to_vec())
        .bind(newsletter.to_owned())
        .bind(now)
        .one()
        .await?;
    Ok(match (reading > 0, paused > 0, suppressed > 0) {
        (true, true, _) => Standing::Paused,
        (true, false, _) => Standing::Reading,
        (false, _, true) => Standing::Suppressed,
        (false, _, false) => Standing::New,
    })
}

/// A confirmed sign-up.
#[derive(Debug)]
pub struct Confirmed<'a> {
    /// Who.
    pub address: &'a Address,
    /// To which newsletter.
    pub newsletter: &'a str,
    /// How, where they chose.
    pub edition: Option<Edition>,
    /// Their language, where it is not the newsletter's.
    pub language: Option<Language>,
    /// The words they agreed to.
    pub consent: &'a str,
}

/// Makes somebody a reader. Doing it again changes nothing. Their own button lifts a suppression. The reader's id.
pub async fn subscribe(tx: &mut Tx, keys: &Keys, now: Moment, who: &Confirmed<'_>) -> db::Result<i64> {
    let index = keys.index(Drawer::Subscribers, who.address);
    let edition = who.edition.unwrap_or_default();
    let id = upsert(tx, keys, who.address, index.clone(), who.language, edition).await?;
    if let Some(edition) = who.edition {
        tx.query("UPDATE subscribers SET edition = $2 WHERE id = $1").bind(id).bind(edition.as_str()).execute().await?;
    }
    let consent = consent_text(tx, who.consent).await?;
    let is_new = add_newsletter(tx, id, who.newsletter, consent, now).await?;
    let lifted: Option<(Moment,)> =
        tx.query("DELETE FROM suppressions WHERE address_index = $1 RETURNING until").bind(index).optional().await?;
    if is_new {
        let returned = lifted.is_some_and(|(until,)| newcomers::is_fresh(until, now));
        newcomers::add(tx, id, who.newsletter, returned, now).await?;
    }
    Ok(id)
}

/// The id of the reader with this address, who is made where there is none.
async fn upsert(
    tx: &mut Tx,
    keys: &Keys,
    address: &Address,
    index: Vec<u8>,
    language: Option<Language>,
    edition: Edition,
) -> db::Result<i64> {
    let id = db::new_id();
    let (id,): (i64,) = tx
        .query(
            "INSERT INTO subscribers (id, address_sealed, address_index, language, edition, discreet, no_asks)
             VALUES ($1, $2, $3, $4, $5, FALSE, FALSE)
             ON CONFLICT (address_index) DO UPDATE SET address_index = excluded.address_index
             RETURNING id",
        )
        .bind(id)
        .bind(keys.seal(Drawer::Subscribers, &id.to_be_bytes(), address.as_str().as_bytes()))
        .bind(index)
        .bind(language.map(|l| l.as_str().to_owned()))
        .bind(edition.as_str())
        .one()
        .await?;
    Ok(id)
}

/// The id of a consent text, kept once.
pub async fn consent_text(tx: &mut Tx, text: &str) -> db::Result<i64> {
    let (id,): (i64,) = tx
        .query(
            "INSERT INTO consent_texts (id, text) VALUES ($1, $2)
             ON CONFLICT (text) DO UPDATE SET text = excluded.text RETURNING id",
        )
        .bind(db::new_id())
        .bind(text.to_owned())
        .one()
        .await?;
    Ok(id)
}

/// True when they did not have it before.
async fn add_newsletter(tx: &mut Tx, id: i64, newsletter: &str, consent: i64, now: Moment) -> db::Result<bool> {
    let added = tx
        .query(
            "INSERT INTO subscriptions (subscriber_id, newsletter, consent_id, consent_week) VALUES ($1, $2, $3, $4)
         ON CONFLICT (subscriber_id, newsletter) DO NOTHING",
        )
        .bind(id)
        .bind(newsletter.to_owned())
        .bind(consent)
        .bind(now.week())
        .execute()
        .await?;
    Ok(added > 0)
}

/// A reader, by id.
pub async fn find(db: &Db, id: i64) -> db::Result<Option<Subscriber>> {
    db.read("SELECT id, language, edition, discreet, no_asks, paused_until FROM subscribers WHERE id = $1")
        .bind(id)
        .optional()
        .await
}

/// A reader, by address.
pub async fn find_by_address(db: &Db, keys: &Keys, address: &Address) -> db::Result<Option<Subscriber>> {
    db.read("SELECT id, language, edition, discreet, no_asks, paused_until FROM subscribers WHERE address_index = $1")
        .bind(keys.index(Drawer::Subscribers, address))
        .optional()
        .await
}

/// What a reader reads.
pub async fn subscriptions(db: &Db, id: i64) -> db::Result<Vec<Subscription>> {
    db.read(
        "SELECT x.newsletter, x.consent_week, c.text AS consent FROM subscriptions x
         LEFT JOIN consent_texts c ON c.id = x.consent_id WHERE x.subscriber_id = $1 ORDER BY x.newsletter",
    )
    .bind(id)
    .all()
    .await
}

/// A reader's address, where they are one still.
pub async fn address(db: &Db, keys: &Keys, id: i64) -> Result<Option<Address>, ReadError> {
    let row: Option<(Vec<u8>,)> =
        db.read("SELECT address_sealed FROM subscribers WHERE id = $1").bind(id).optional().await?;
    row.map(|(sealed,)| open_address(keys, id, &sealed)).transpose().map_err(Into::into)
}

/// A reader at the moment of a move.
#[derive(sqlx::FromRow)]
struct Mover {
    id: i64,
    address_sealed: Vec<u8>,
    discreet: bool,
    no_asks: bool,
}

/// Moves a reader to another address, which they have confirmed: they get a new id, or become one with the reader who is
/// there already, whose links go on working. Whoever asked for more discretion is heard. Their own button lifts a
/// suppression. The address that they left, sealed for the old id; nothing where there is nobody to move.
pub async fn move_to(tx: &mut Tx, keys: &Keys, now: Moment, id: i64, address: &Address) -> db::Result<Option<Vec<u8>>> {
    let index = keys.index(Drawer::Subscribers, address);
    // Both are locked: a sign-up or a leaving at this very moment comes before or after, never between.
    let mut locked: Vec<Mover> = tx
        .query(
            "UPDATE subscribers SET edition = edition
             WHERE id = $1 AND address_index <> $2
                OR address_index = $2 AND EXISTS (SELECT 1 FROM subscribers WHERE id = $1)
             RETURNING id, address_sealed, discreet, no_asks",
        )
        .bind(id)
        .bind(index.clone())
        .all()
        .await?;
    let Some(at) = locked.iter().position(|reader| reader.id == id) else { return Ok(None) };
    let mover = locked.swap_remove(at);
    let there = locked.pop().filter(|other| other.id != id);
    let to = match there {
        Some(there) => heed(tx, &mover, there.id).await?,
        None => settle(tx, keys, id, address, index.clone()).await?,
    };
    tx.query(
        "INSERT INTO subscriptions (subscriber_id, newsletter, consent_id, consent_week)
         SELECT $1, newsletter, consent_id, consent_week FROM subscriptions WHERE subscriber_id = $2
         ON CONFLICT (subscriber_id, newsletter) DO NOTHING",
    )
    .bind(to)
    .bind(id)
    .execute()
    .await?;
    tx.query("UPDATE moves SET subscriber_id = $1 WHERE subscriber_id = $2").bind(to).bind(id).execute().await?;
    tx.query("INSERT INTO moves (left_id, subscriber_id, until) VALUES ($1, $2, $3)")
        .bind(id)
        .bind(to)
        .bind((now + MOVE_KEPT).week())
        .execute()
        .await?;
    newcomers::follow(tx, id, to).await?;
    tx.query("DELETE FROM suppressions WHERE address_index = $1").bind(index).execute().await?;
    remove(tx, id).await?;
    Ok(Some(mover.address_sealed))
}

/// Adds what the mover asked for in discretion to the choices of the reader who is there.
async fn heed(tx: &mut Tx, mover: &Mover, there: i64) -> db::Result<i64> {
    tx.query("UPDATE subscribers SET discreet = (discreet OR $2), no_asks = (no_asks OR $3) WHERE id = $1")
        .bind(there)
        .bind(mover.discreet)
        .bind(mover.no_asks)
        .execute()
        .await?;
    Ok(there)
}

/// A new reader at `address` with the choices of the reader `id`.
async fn settle(tx: &mut Tx, keys: &Keys, id: i64, address: &Address, index: Vec<u8>) -> db::Result<i64> {
    let to = db::new_id();
    tx.query(
        "INSERT INTO subscribers (id, address_sealed, address_index, language, edition, discreet, no_asks, paused_until)
         SELECT $1, $2, $3, language, edition, discreet, no_asks, paused_until FROM subscribers WHERE id = $4",
    )
    .bind(to)
    .bind(keys.seal(Drawer::Subscribers, &to.to_be_bytes(), address.as_str().as_bytes()))
    .bind(index)
    .bind(id)
    .execute()
    .await?;
    Ok(to)
}

/// Changes how a reader receives what they receive. False when they are no reader any more.
pub async fn change(tx: &mut Tx, reader: &Subscriber) -> db::Result<bool> {
    let changed = tx
        .query(
            "UPDATE subscribers SET language = $2, edition = $3, discreet = $4, no_asks = $5, paused_until = $6 WHERE id = $1",
        )
        .bind(reader.id)
        .bind(reader.language.clone())
        .bind(reader.edition.clone())
        .bind(reader.discreet)
        .bind(reader.no_asks)
        .bind(reader.paused_until)
        .execute()
        .await?;
    Ok(changed > 0)
}

/// Takes a further newsletter, agreed to with these words.
pub async fn join(tx: &mut Tx, id: i64, newsletter: &str, consent: &str, now: Moment) -> db::Result<()> {
    let consent = consent_text(tx, consent).await?;
    if add_newsletter(tx, id, newsletter, consent, now).await? {
        newcomers::add(tx, id, newsletter, false, now).await?;
    }
    Ok(())
}

/// Leaves one newsletter; with the last one the address goes, and a mark stays. Doing it again changes nothing.
pub async fn leave(tx: &mut Tx, id: i64, newsletter: &str, now: Moment) -> db::Result<()> {
    // Locked, so that what is counted below is not changed by a move meanwhile.
    tx.query("UPDATE subscribers SET edition = edition WHERE id = $1").bind(id).execute().await?;
    let left = tx
        .query("DELETE FROM subscriptions WHERE subscriber_id = $1 AND newsletter = $2")
        .bind(id)
        .bind(newsletter.to_owned())
        .execute()
        .await?;
    newcomers::take_away(tx, id, newsletter).await?;
    let (others,): (i64,) =
        tx.query("SELECT COUNT(*) FROM subscriptions WHERE subscriber_id = $1").bind(id).one().await?;
    if left > 0 && others == 0 {
        suppress(tx, id, Reason::Left, now).await?;
    }
    Ok(())
}

/// Removes a reader and keeps a mark, so that nothing brings them back but themselves.
pub async fn suppress(tx: &mut Tx, id: i64, reason: Reason, now: Moment) -> db::Result<()> {
    tx.query(
        "INSERT INTO suppressions (address_index, reason, until)
         SELECT address_index, $2, $3 FROM subscribers WHERE id = $1
         ON CONFLICT (address_index) DO UPDATE SET reason = excluded.reason, until = excluded.until",
    )
    .bind(id)
    .bind(reason.as_str())
    .bind(now + SUPPRESSED_FOR)
    .execute()
    .await?;
    remove(tx, id).await?;
    Ok(())
}

/// Removes a reader without a trace. False when there was none.
pub async fn remove(tx: &mut Tx, id: i64) -> db::Result<bool> {
    tx.query("DELETE FROM subscriptions WHERE subscriber_id = $1").bind(id).execute().await?;
    Ok(tx.query("DELETE FROM subscribers WHERE id = $1").bind(id).execute().await? > 0)
}

/// Forgets marks, moves and newcomers whose time is over, and pauses that have ended.
pub async fn tidy(db: &Db, now: Moment) -> db::Result<u64> {
    let marks = db.write("DELETE FROM suppressions WHERE until <= $1").bind(now).execute().await?;
    let pauses =
        db.write("UPDATE subscribers SET paused_until = NULL WHERE paused_until <= $1").bind(now).execute().await?;
    let moves = db.write("DELETE FROM moves WHERE until <= $1").bind(now).execute().await?;
    Ok(marks + pauses + moves + newcomers::forget(db, now).await?)
}

/// How many there are.
pub async fn counts(db: &Db, now: Moment) -> db::Result<Counts> {
    let newsletters =
        db.read("SELECT newsletter, COUNT(*) FROM subscriptions GROUP BY newsletter ORDER BY newsletter").all().await?;
    let (readers, paused, suppressed): (i64, i64, i64) = db
        .read(
            "SELECT (SELECT COUNT(*) FROM subscribers),
                    (SELECT COUNT(*) FROM subscribers WHERE paused_until > $1),
                    (SELECT COUNT(*) FROM suppressions WHERE until > $1)",
        )
        .bind(now)
        .one()
        .await?;
    Ok(Counts { newsletters, readers, paused, suppressed })
}
