//! Staff in the database: people, their sessions, failed sign-ins, and the log.

use std::time::Duration;

use super::log;
pub use super::log::record;
use super::{Actor, LINK_LIFE, Role, StaffError, TOUCH, backoff, session_holds};
use crate::address::Address;
use crate::clock::{DAY, Moment};
use crate::db::{self, Db, Tx};
use crate::keys::{Drawer, Keys};

/// Somebody who works here, as colleagues see them.
#[derive(Clone, Debug)]
pub struct Person {
    /// Id.
    pub id: i64,
    /// The name in the log and on pages.
    pub name: String,
    /// The address they sign in with.
    pub address: Address,
    /// What they may do.
    pub role: Role,
    /// Whether they have used their one-time link and chosen a password.
    pub has_password: bool,
    /// Whether signing in also takes a code.
    pub has_factor: bool,
    /// The last click, to five minutes.
    pub last_here: Option<Moment>,
    /// Since when.
    pub added_at: Moment,
}

/// What a one-time link says inside its seal.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct Invitation {
    id: i64,
    serial: i64,
}

/// What links of this room are for.
const LINK: &str = "staff-invitation";

fn address_row(id: i64) -> Vec<u8> {
    [b"address:".as_slice(), &id.to_be_bytes()].concat()
}

fn name_row(id: i64) -> Vec<u8> {
    [b"name:".as_slice(), &id.to_be_bytes()].concat()
}

fn factor_row(id: i64) -> Vec<u8> {
    [b"factor:".as_slice(), &id.to_be_bytes()].concat()
}

pub(super) fn open_name(keys: &Keys, id: i64, sealed: &[u8]) -> Result<String, StaffError> {
    let name = keys.open(Drawer::Staff, &name_row(id), sealed)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn open_address(keys: &Keys, id: i64, sealed: &[u8]) -> Result<Address, StaffError> {
    let text = keys.open(Drawer::Staff, &address_row(id), sealed)?;
    Address::parse(&String::from_utf8_lossy(&text)).map_err(|_| StaffError::Unknown)
}

fn role(text: &str) -> Result<Role, StaffError> {
    Role::parse(text).ok_or_else(|| StaffError::Db(db::Error::Decode(format!("no role is called {text}").into())))
}

/// Lets somebody in: an account without a password. [`invite`] makes the link that they choose one with.
pub async fn add(
    tx: &mut Tx,
    keys: &Keys,
    by: impl Into<Actor>,
    now: Moment,
    address: &Address,
    role: Role,
    name: &str,
) -> Result<i64, StaffError> {
    let id = db::new_id();
    let added = tx
        .query(
            "INSERT INTO staff (id, address_sealed, address_index, name_sealed, role, added_at)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (address_index) DO NOTHING",
        )
        .bind(id)
        .bind(keys.seal(Drawer::Staff, &address_row(id), address.as_str().as_bytes()))
        .bind(keys.index(Drawer::Staff, address))
        .bind(keys.seal(Drawer::Staff, &name_row(id), name.as_bytes()))
        .bind(role.as_str())
        .bind(now)
        .execute()
        .await?;
    if added == 0 {
        return Err(StaffError::Known);
    }
    record(tx, by, now, "staff.add", &format!("{} as {}", log::person(id), role.as_str())).await?;
    Ok(id)
}

/// A one-time link for somebody, as the path of a page. The one before it stops working.
pub async fn invite(tx: &mut Tx, keys: &Keys, now: Moment, id: i64) -> Result<String, StaffError> {
    let serial = db::new_id();
    let known = tx
        .query("UPDATE staff SET link_serial = $1 WHERE id = $2 AND removed_at IS NULL")
        .bind(serial)
        .bind(id)
        .execute()
        .await?;
    if known == 0 {
        return Err(StaffError::Unknown);
    }
    let token = keys.link(LINK, Some(now + LINK_LIFE), &Invitation { id, serial });
    Ok(format!("/staff/set-password/{token}"))
}

/// Whose link this is, if it still works. Changes nothing.
pub async fn invited(db: &Db, keys: &Keys, now: Moment, token: &str) -> Result<Person, StaffError> {
    let link: Invitation = keys.read_link(LINK, token, now).map_err(|_| StaffError::LinkGone)?;
    let row: Option<PersonRow> = db
        .read(
            "SELECT id, address_sealed, name_sealed, role, password IS NOT NULL AS has_password,
                    factor_sealed IS NOT NULL AS has_factor, last_here, added_at
             FROM staff WHERE id = $1 AND link_serial = $2 AND removed_at IS NULL",
        )
        .bind(link.id)
        .bind(link.serial)
        .optional()
        .await?;
    row.ok_or(StaffError::LinkGone)?.open(keys)
}

/// Uses a one-time link up: sets the password, ends what sessions there were.
pub async fn accept(
    tx: &mut Tx,
    keys: &Keys,
    now: Moment,
    token: &str,
    name: &str,
    password: &str,
) -> Result<i64, StaffError> {
    let link: Invitation = keys.read_link(LINK, token, now).map_err(|_| StaffError::LinkGone)?;
    let used = tx
        .query(
            "UPDATE staff SET link_serial = NULL, password = $1, name_sealed = $2
             WHERE id = $3 AND link_serial = $4 AND removed_at IS NULL",
        )
        .bind(password)
        .bind(keys.seal(Drawer::Staff, &name_row(link.id), name.as_bytes()))
        .bind(link.id)
        .bind(link.serial)
        .execute()
        .await?;
    if used == 0 {
        return Err(StaffError::LinkGone);
    }
    end_sessions(tx, link.id).await?;
    record(tx, Actor::Person(link.id), now, "staff.password", "").await?;
    Ok(link.id)
}

/// Changes somebody's own password and ends all their sessions.
pub async fn set_password(tx: &mut Tx, now: Moment, id: i64, password: &str) -> Result<(), StaffError> {
    tx.query("UPDATE staff SET password = $1, link_serial = NULL WHERE id = $2 AND removed_at IS NULL")
        .bind(password)
        .bind(id)
        .execute()
        .await?;
    end_sessions(tx, id).await?;
    record(tx, Actor::Person(id), now, "staff.password", "").await?;
    Ok(())
}

/// The password's hash of one person.
pub async fn password_hash(db: &Db, id: i64) -> Result<Option<String>, StaffError> {
    let row: Option<(Option<String>,)> =
        db.read("SELECT password FROM staff WHERE id = $1 AND removed_at IS NULL").bind(id).optional().await?;
    Ok(row.and_then(|(hash,)| hash))
}

/// The second factor of one person, where they have one: the secret, and the step of the last code.
pub async fn factor(db: &Db, keys: &Keys, id: i64) -> Result<Option<(Vec<u8>, i64)>, StaffError> {
    let row: Option<(Vec<u8>, i64)> = db
        .read("SELECT factor_sealed, factor_step FROM staff WHERE id = $1 AND factor_sealed IS NOT NULL AND removed_at IS NULL")
        .bind(id)
        .optional()
        .await?;
    row.map(|(sealed, step)| Ok((keys.open(Drawer::Staff, &factor_row(id), &sealed)?, step))).transpose()
}

/// Uses a code up; false where it or a later one was used before.
pub async fn use_code(tx: &mut Tx, id: i64, step: i64) -> Result<bool, StaffError> {
    let used = tx
        .query("UPDATE staff SET factor_step = $1 WHERE id = $2 AND factor_step < $1")
        .bind(step)
        .bind(id)
        .execute()
        .await?;
    Ok(used > 0)
}

/// From now on signing in takes a code of this secret as well. All sessions end.
pub async fn set_factor(
    tx: &mut Tx,
    keys: &Keys,
    now: Moment,
    id: i64,
    secret: &[u8],
    step: i64,
) -> Result<(), StaffError> {
    tx.query("UPDATE staff SET factor_sealed = $1, factor_step = $2 WHERE id = $3 AND removed_at IS NULL")
        .bind(keys.seal(Drawer::Staff, &factor_row(id), secret))
        .bind(step)
        .bind(id)
        .execute()
        .await?;
    end_sessions(tx, id).await?;
    record(tx, Actor::Person(id), now, "staff.factor-on", "").await?;
    Ok(())
}

/// From now on the password is enough again.
pub async fn drop_factor(tx: &mut Tx, now: Moment, id: i64) -> Result<(), StaffError> {
    tx.query("UPDATE staff SET factor_sealed = NULL WHERE id = $1").bind(id).execute().await?;
    record(tx, Actor::Person(id), now, "staff.factor-off", "").await?;
    Ok(())
}

/// The account of an address: its id and the password's hash, where one is set.
pub async fn account(db: &Db, keys: &Keys, address: &Address) -> Result<Option<(i64, Option<String>)>, StaffError> {
    Ok(db
        .read("SELECT id, password FROM staff WHERE address_index = $1")
        .bind(keys.index(Drawer::Staff, address))
        .optional()
        .await?)
}

/// Gives somebody another role.
pub async fn set_role(tx: &mut Tx, by: impl Into<Actor>, now: Moment, id: i64, to: Role) -> Result<(), StaffError> {
    let from = current_role(tx, id).await?;
    if from == to {
        return Ok(());
    }
    if from == Role::Admin {
        keep_an_admin(tx, id).await?;
    }
    tx.query("UPDATE staff SET role = $1 WHERE id = $2").bind(to.as_str()).bind(id).execute().await?;
    record(tx, by, now, "staff.role", &format!("{} from {} to {}", log::person(id), from.as_str(), to.as_str()))
        .await?;
    Ok(())
}

/// Somebody leaves: no way in any more, and no address. The name stays, sealed, for what the log says they did.
pub async fn remove(tx: &mut Tx, by: impl Into<Actor>, now: Moment, id: i64) -> Result<(), StaffError> {
    if current_role(tx, id).await? == Role::Admin {
        keep_an_admin(tx, id).await?;
    }
    tx.query(
        "UPDATE staff SET removed_at = $1, address_sealed = NULL, address_index = NULL, password = NULL, link_serial = NULL,
             factor_sealed = NULL
         WHERE id = $2",
    )
    .bind(now)
    .bind(id)
    .execute()
    .await?;
    end_sessions(tx, id).await?;
    record(tx, by, now, "staff.remove", &log::person(id)).await?;
    Ok(())
}

/// A password or the device with the codes was lost, or a machine stolen: password, second factor and every session end,
/// and a new one-time link is the way in.
pub async fn reset(tx: &mut Tx, keys: &Keys, by: impl Into<Actor>, now: Moment, id: i64) -> Result<String, StaffError> {
    let path = invite(tx, keys, now, id).await?;
    tx.query("UPDATE staff SET password = NULL, factor_sealed = NULL WHERE id = $1").bind(id).execute().await?;
    end_sessions(tx, id).await?;
    record(tx, by, now, "staff.reset", &log::person(id)).await?;
    Ok(path)
}

async fn current_role(tx: &mut Tx, id: i64) -> Result<Role, StaffError> {
    let row: Option<(String,)> =
        tx.query("SELECT role FROM staff WHERE id = $1 AND removed_at IS NULL").bind(id).optional().await?;
    role(&row.ok_or(StaffError::Unknown)?.0)
}

/// Refuses what would leave nobody to let people in. An admin who has not yet come counts: the link is on its way.
async fn keep_an_admin(tx: &mut Tx, but: i64) -> Result<(), StaffError> {
    // Locks the other admins, so that two admins cannot remove each other at the same time.
    let others = tx
        .query("UPDATE staff SET role = role WHERE role = 'admin' AND removed_at IS NULL AND id <> $1")
        .bind(but)
        .execute()
        .await?;
    if others == 0 { Err(StaffError::LastAdmin) } else { Ok(()) }
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    id: i64,
    address_sealed: Vec<u8>,
    name_sealed: Vec<u8>,
    role: String,
    has_password: bool,
    has_factor: bool,
    last_here: Option<Moment>,
    added_at: Moment,
}

impl PersonRow {
    fn open(self, keys: &Keys) -> Result<Person, StaffError> {
        Ok(Person {
            id: self.id,
            name: open_name(keys, self.id, &self.name_sealed)?,
            address: open_address(keys, self.id, &self.address_sealed)?,
            role: role(&self.role)?,
            has_password: self.has_password,
            has_factor: self.has_factor,
            last_here: self.last_here,
            added_at: self.added_at,
        })
    }
}

/// Everybody who works here, in the order they came.
pub async fn people(db: &Db, keys: &Keys) -> Result<Vec<Person>, StaffError> {
    let rows: Vec<PersonRow> = db
        .read(
            "SELECT id, address_sealed, name_sealed, role, password IS NOT NULL AS has_password,
                    factor_sealed IS NOT NULL AS has_factor, last_here, added_at
             FROM staff WHERE removed_at IS NULL ORDER BY added_at, id",
        )
        .all()
        .await?;
    rows.into_iter().map(|row| row.open(keys)).collect()
}

/// Whether nobody works here yet.
pub async fn nobody_yet(db: &Db) -> Result<bool, StaffError> {
    Ok(db.read("SELECT id FROM staff WHERE removed_at IS NULL LIMIT 1").optional::<(i64,)>().await?.is_none())
}

/// Begins a session; the token for the cookie. Only a keyed hash of it is kept.
pub async fn begin_session(tx: &mut Tx, keys: &Keys, now: Moment, id: i64) -> Result<String, StaffError> {
    let token = crate::keys::random::<32>();
    tx.query("INSERT INTO staff_sessions (mark, staff_id, started_at, seen_at) VALUES ($1, $2, $3, $3)")
        .bind(session_mark(keys, &token))
        .bind(id)
        .bind(now)
        .execute()
        .await?;
    tx.query("UPDATE staff SET last_here = $1 WHERE id = $2").bind(now).bind(id).execute().await?;
    Ok(data_encoding::BASE64URL_NOPAD.encode(&token))
}

fn session_mark(keys: &Keys, token: &[u8]) -> Vec<u8> {
    keys.mark("staff-session", token).to_vec()
}

/// Whose session a cookie's token is: id, name, role. Notes that they are here.
pub async fn session(
    db: &Db,
    keys: &Keys,
    now: Moment,
    token: &str,
) -> Result<Option<(i64, String, Role)>, StaffError> {
    let Ok(token) = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()) else { return Ok(None) };
    let mark = session_mark(keys, &token);
    let row: Option<(i64, Vec<u8>, String, Moment, Moment)> = db
        .read(
            "SELECT staff.id, staff.name_sealed, staff.role, staff_sessions.started_at, staff_sessions.seen_at
             FROM staff_sessions JOIN staff ON staff.id = staff_sessions.staff_id
             WHERE staff_sessions.mark = $1 AND staff.removed_at IS NULL",
        )
        .bind(mark.clone())
        .optional()
        .await?;
    let Some((id, name, role_name, started, seen)) = row else { return Ok(None) };
    if !session_holds(started, seen, now) {
        return Ok(None);
    }
    if now.since(seen) >= TOUCH {
        let mut tx = db.begin().await?;
        tx.query("UPDATE staff_sessions SET seen_at = $1 WHERE mark = $2").bind(now).bind(mark).execute().await?;
        tx.query("UPDATE staff SET last_here = $1 WHERE id = $2").bind(now).bind(id).execute().await?;
        tx.commit().await?;
    }
    Ok(Some((id, open_name(keys, id, &name)?, role(&role_name)?)))
}

/// Ends one session.
pub async fn end_session(tx: &mut Tx, keys: &Keys, token: &str) -> Result<(), StaffError> {
    if let Ok(token) = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()) {
        tx.query("DELETE FROM staff_sessions WHERE mark = $1").bind(session_mark(keys, &token)).execute().await?;
    }
    Ok(())
}

/// Ends every session of one person.
pub async fn end_sessions(tx: &mut Tx, id: i64) -> Result<(), StaffError> {
    tx.query("DELETE FROM staff_sessions WHERE staff_id = $1").bind(id).execute().await?;
    Ok(())
}

/// How many sessions of one person are open.
pub async fn open_sessions(db: &Db, id: i64, now: Moment) -> Result<i64, StaffError> {
    let (count,): (i64,) = db
        .read("SELECT COUNT(*) FROM staff_sessions WHERE staff_id = $1 AND seen_at > $2 AND started_at > $3")
        .bind(id)
        .bind(now - super::IDLE)
        .bind(now - super::ABSOLUTE)
        .one()
        .await?;
    Ok(count)
}

/// Takes one of the tries that a mark has. It counts as failed until [`succeeded`] says otherwise, so that a hundred
/// tries at the same moment are a hundred tries. `Err` says until when there are none.
pub async fn try_once(tx: &mut Tx, now: Moment, mark: [u8; 32], free: i64) -> Result<Result<i64, Moment>, StaffError> {
    // Failures of more than a day ago are forgotten. While somebody has to wait, nothing is counted and nothing tried.
    let counted: Option<(i64,)> = tx
        .query(
            "INSERT INTO staff_attempts (mark, failures, began_at, wait_until) VALUES ($1, 1, $2, 0)
             ON CONFLICT (mark) DO UPDATE SET
                 failures = CASE WHEN staff_attempts.began_at <= $3 THEN 1 ELSE staff_attempts.failures + 1 END,
                 began_at = CASE WHEN staff_attempts.began_at <= $3 THEN $2 ELSE staff_attempts.began_at END
             WHERE staff_attempts.wait_until <= $2
             RETURNING failures",
        )
        .bind(mark.to_vec())
        .bind(now)
        .bind(now - DAY)
        .optional()
        .await?;
    let Some((failures,)) = counted else {
        let (until,): (Moment,) =
            tx.query("SELECT wait_until FROM staff_attempts WHERE mark = $1").bind(mark.to_vec()).one().await?;
        return Ok(Err(until));
    };
    if let Some(wait) = backoff(failures, free) {
        tx.query("UPDATE staff_attempts SET wait_until = $1 WHERE mark = $2")
            .bind(now + wait)
            .bind(mark.to_vec())
            .execute()
            .await?;
    }
    Ok(Ok(failures))
}

/// The tries of a mark begin anew.
pub async fn forget_tries(tx: &mut Tx, mark: [u8; 32]) -> Result<(), StaffError> {
    tx.query("DELETE FROM staff_attempts WHERE mark = $1").bind(mark.to_vec()).execute().await?;
    Ok(())
}

/// The try was no failure: `own` (this address from this network) begins anew, `all` (this address) counts one less.
pub async fn succeeded(tx: &mut Tx, own: [u8; 32], all: [u8; 32]) -> Result<(), StaffError> {
    forget_tries(tx, own).await?;
    tx.query("UPDATE staff_attempts SET failures = failures - 1, wait_until = 0 WHERE mark = $1")
        .bind(all.to_vec())
        .execute()
        .await?;
    Ok(())
}

/// Removes what no longer says anything: sessions that ended, failures of long ago. Whether there was any.
pub async fn tidy(db: &Db, now: Moment) -> Result<bool, StaffError> {
    const TWO_DAYS: Duration = Duration::from_secs(2 * 24 * 3600);
    let sessions = db
        .write("DELETE FROM staff_sessions WHERE seen_at <= $1 OR started_at <= $2")
        .bind(now - super::IDLE)
        .bind(now - super::ABSOLUTE)
        .execute()
        .await?;
    let attempts = db.write("DELETE FROM staff_attempts WHERE began_at <= $1").bind(now - TWO_DAYS).execute().await?;
    Ok(sessions + attempts > 0)
}
