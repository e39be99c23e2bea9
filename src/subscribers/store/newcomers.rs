//! Newcomers: who has confirmed a moment ago, and is still to be seen to.
//!
//! A row is written with the confirmation itself and taken away with whatever is done about it, so that neither happens
//! without the other. It says nothing about when that was but the day.

use super::super::SUPPRESSED_FOR;
use crate::clock::{DAY, Moment};
use crate::db::{self, Db, Tx};

/// Notes that somebody has this newsletter from now on. `returned`: they may have its last issue from an earlier time.
pub(super) async fn add(tx: &mut Tx, id: i64, newsletter: &str, returned: bool, now: Moment) -> db::Result<()> {
    tx.query(
        "INSERT INTO newcomers (subscriber_id, newsletter, returned, until) VALUES ($1, $2, $3, $4)
         ON CONFLICT (subscriber_id, newsletter) DO NOTHING",
    )
    .bind(id)
    .bind(newsletter.to_owned())
    .bind(returned)
    .bind(midnight_after_next(now))
    .execute()
    .await?;
    Ok(())
}

/// Whether a mark that ends at `until` was made less than a day ago.
pub(super) fn is_fresh(until: Moment, now: Moment) -> bool {
    until + DAY > now + SUPPRESSED_FOR
}

/// As much of a time as is kept: the end of tomorrow, UTC.
fn midnight_after_next(now: Moment) -> Moment {
    let day = DAY.as_millis() as i64;
    Moment::from_millis((now.millis().div_euclid(day) + 2) * day)
}

/// Takes a newcomer's row away. False when it was gone already: then somebody else has seen to it, or they have left.
pub async fn take_away(tx: &mut Tx, id: i64, newsletter: &str) -> db::Result<bool> {
    let taken = tx
        .query("DELETE FROM newcomers WHERE subscriber_id = $1 AND newsletter = $2")
        .bind(id)
        .bind(newsletter.to_owned())
        .execute()
        .await?;
    Ok(taken > 0)
}

/// A newcomer who moves is one at the new address, where they are not one already.
pub(super) async fn follow(tx: &mut Tx, from: i64, to: i64) -> db::Result<()> {
    tx.query(
        "UPDATE newcomers SET subscriber_id = $2 WHERE subscriber_id = $1 AND newsletter NOT IN
            (SELECT newsletter FROM newcomers WHERE subscriber_id = $2)",
    )
    .bind(from)
    .bind(to)
    .execute()
    .await?;
    Ok(())
}

/// Forgets those whom nobody has seen to in their time: no background work has run for a day.
pub(super) async fn forget(db: &Db, now: Moment) -> db::Result<u64> {
    db.write("DELETE FROM newcomers WHERE until <= $1").bind(now).execute().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn of_a_newcomer_only_the_day_is_kept() {
        let day = DAY.as_millis() as i64;
        for (now, until) in [(0, 2 * day), (day - 1, 2 * day), (day, 3 * day)] {
            assert_eq!(midnight_after_next(Moment::from_millis(now)).millis(), until);
        }
    }

    #[test]
    fn a_mark_is_fresh_for_a_day() {
        let left = Moment::from_millis(1_795_683_600_000);
        let until = left + SUPPRESSED_FOR;
        assert!(is_fresh(until, left) && is_fresh(until, left + DAY - Duration::from_millis(1)));
        assert!(!is_fresh(until, left + DAY));
    }
}
