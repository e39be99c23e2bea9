//! The outbox: mails that are owed.
//!
//! A mail and the change that causes it are committed together, so that neither exists without the other. Recipient and
//! text are sealed until the mail server has taken them, and gone after that. A worker leases what is due, holds no
//! transaction while it talks to the mail server, and writes down the outcome: a crash in between sends a mail twice
//! at worst, with the same Message-ID, and loses none.

use super::{BuildError, ConnectError, Connection, Envelope, Mailer, Message, SendError, address_of};
use crate::clock::{DAY, Moment};
use crate::db::{self, Db, Tx};
use crate::keys::{Drawer, KeyError, Keys};
use data_encoding::BASE32_NOPAD;
use std::time::Duration;

/// The name of its task, for waking it.
pub const TASK: &str = "outbox";

const BATCH: i64 = 50;
const LEASE: Duration = Duration::from_secs(10 * 60);
/// When to try again, after the first, second, … failure. After the last, the mail is given up: what it says is old.
const RETRY: [Duration; 8] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
    Duration::from_secs(3600),
    Duration::from_secs(3 * 3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(12 * 3600),
    Duration::from_secs(24 * 3600),
];

/// A mail to be put in.
#[derive(Debug)]
pub struct Note {
    /// What mail it is: `sign-up`, `thanks`.
    pub kind: &'static str,
    /// A mark ([`Keys::mark`]) under which this mail is written once, and until when the mark is remembered.
    pub once: Option<([u8; 32], Moment)>,
    /// The mail.
    pub message: Message,
}

/// What the outbox needs to hand mails over.
#[derive(Debug, Clone)]
pub struct Hand<'a> {
    /// Where they wait.
    pub db: &'a Db,
    /// What opens them.
    pub keys: &'a Keys,
    /// The way out.
    pub mailer: &'a Mailer,
    /// The newsroom's sender, for those that name none.
    pub sender: String,
    /// The time.
    pub now: Moment,
}

/// Why a run of the outbox ended early. All of these are tried again.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The mail server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

#[derive(Debug, thiserror::Error)]
enum Spoiled {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the mail is not one of ours")]
    Form,
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Puts a mail in, with the rest of the transaction. False when one with the same mark is there already; the two cases
/// cost the database the same, so that nobody can tell them apart by the clock.
pub async fn put(tx: &mut Tx, keys: &Keys, now: Moment, note: Note) -> db::Result<bool> {
    let id = db::new_id();
    // OK because a message is strings, which always have a JSON form.
    let plain = serde_json::to_vec(&note.message).expect("a JSON form");
    let sealed = keys.seal(Drawer::Outbox, &id.to_be_bytes(), &plain);
    let (once, forget_at) = match note.once {
        Some((mark, until)) => (Some(mark.to_vec()), until),
        None => (None, now),
    };
    let (kept,): (i64,) = tx
        .query(
            "INSERT INTO outbox (id, kind, once, forget_at, sealed, state, attempts, next_at, leased_until, touched_at)
             VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, 0, $6)
             ON CONFLICT (once) DO UPDATE SET touched_at = excluded.touched_at
             RETURNING id",
        )
        .bind(id)
        .bind(note.kind)
        .bind(once)
        .bind(forget_at)
        .bind(sealed)
        .bind(now)
        .one()
        .await?;
    Ok(kept == id)
}

#[derive(sqlx::FromRow)]
struct Due {
    id: i64,
    kind: String,
    sealed: Vec<u8>,
    attempts: i64,
}

/// Hands over what is due, one batch. True when there was anything.
pub async fn step(hand: &Hand<'_>) -> Result<bool, OutboxError> {
    let due = lease(hand).await?;
    if due.is_empty() {
        return Ok(forget(hand).await?);
    }
    let mut connection = match hand.mailer.connect().await {
        Ok(connection) => Some(connection),
        Err(error) => {
            for mail in &due {
                later(hand, mail, None).await?;
            }
            return Err(error.into());
        }
    };
    for mail in &due {
        hand_over(hand, &mut connection, mail).await?;
    }
    if let Some(connection) = connection {
        connection.quit().await;
    }
    Ok(true)
}

async fn lease(hand: &Hand<'_>) -> db::Result<Vec<Due>> {
    let sql = if hand.db.is_postgres() {
        "UPDATE outbox SET leased_until = $2 WHERE id IN (
             SELECT id FROM outbox WHERE state = 'waiting' AND next_at <= $1 AND leased_until <= $1
             ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING id, kind, sealed, attempts"
    } else {
        "UPDATE outbox SET leased_until = $2 WHERE id IN (
             SELECT id FROM outbox WHERE state = 'waiting' AND next_at <= $1 AND leased_until <= $1
             ORDER BY next_at LIMIT $3)
         RETURNING id, kind, sealed, attempts"
    };
    hand.db.write(sql).bind(hand.now).bind(hand.now + LEASE).bind(BATCH).all().await
}

async fn hand_over(hand: &Hand<'_>, connection: &mut Option<Connection>, mail: &Due) -> db::Result<()> {
    let (envelope, mut bytes) = match open(hand, mail) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(id = mail.id, %error, "a mail in the outbox cannot be sent");
            return finish(hand, mail, "failed", None).await;
        }
    };
    if connection.is_none() {
        *connection = hand.mailer.connect().await.ok();
    }
    let Some(open) = connection else { return later(hand, mail, None).await };
    hand.mailer.sign(&envelope, &mut bytes);
    let answer = open.send(&envelope, &bytes).await;
    if open.is_broken() {
        *connection = None;
    }
    match answer {
        Ok(reply) => finish(hand, mail, "sent", Some(reply.code)).await,
        Err(SendError::Never(reply)) => finish(hand, mail, "failed", Some(reply.code)).await,
        Err(SendError::Later(reply)) => later(hand, mail, Some(reply.code)).await,
        Err(SendError::Connection | SendError::Uncertain) => later(hand, mail, None).await,
    }
}

fn open(hand: &Hand<'_>, mail: &Due) -> Result<(Envelope, Vec<u8>), Spoiled> {
    let plain = hand.keys.open(Drawer::Outbox, &mail.id.to_be_bytes(), &mail.sealed)?;
    let message: Message = serde_json::from_slice(&plain).map_err(|_| Spoiled::Form)?;
    let from = message.from.as_deref().unwrap_or(&hand.sender);
    let from = address_of(from).ok_or(Spoiled::Form)?;
    let id = BASE32_NOPAD.encode(&hand.keys.mark("message-id", &mail.id.to_be_bytes())[..16]).to_lowercase();
    let at = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(hand.now.millis()).unwrap_or(0));
    let bytes = message.to_bytes(&hand.sender, &format!("<{id}@{}>", from.domain()), at)?;
    Ok((Envelope { return_path: from.as_str().to_owned(), to: message.to.clone() }, bytes))
}

/// The mail is settled: its text goes, and its row too unless a mark must be remembered.
async fn finish(hand: &Hand<'_>, mail: &Due, state: &'static str, code: Option<u16>) -> db::Result<()> {
    count(mail, state);
    hand.db
        .write("UPDATE outbox SET state = $2, sealed = NULL, code = $3, attempts = attempts + 1 WHERE id = $1")
        .bind(mail.id)
        .bind(state)
        .bind(code.map(i64::from))
        .execute()
        .await?;
    Ok(())
}

async fn later(hand: &Hand<'_>, mail: &Due, code: Option<u16>) -> db::Result<()> {
    let Some(pause) = usize::try_from(mail.attempts).ok().and_then(|n| RETRY.get(n)) else {
        return finish(hand, mail, "failed", code).await;
    };
    count(mail, "later");
    hand.db
        .write("UPDATE outbox SET attempts = attempts + 1, next_at = $2, leased_until = 0, code = $3 WHERE id = $1")
        .bind(mail.id)
        .bind(hand.now + *pause)
        .bind(code.map(i64::from))
        .execute()
        .await?;
    Ok(())
}

fn count(mail: &Due, outcome: &'static str) {
    metrics::counter!("friday_mails_total", "kind" => mail.kind.clone(), "outcome" => outcome).increment(1);
}

/// Removes settled rows whose mark need not be remembered. Rows of one day are kept, for counting.
async fn forget(hand: &Hand<'_>) -> db::Result<bool> {
    let gone = hand
        .db
        .write("DELETE FROM outbox WHERE state <> 'waiting' AND forget_at <= $1 AND touched_at <= $2")
        .bind(hand.now)
        .bind(hand.now - DAY)
        .execute()
        .await?;
    Ok(gone > 0)
}
