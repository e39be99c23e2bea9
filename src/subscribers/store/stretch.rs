//! All readers of a newsletter, looked at in stretches.
//!
//! One statement over a million readers takes most of a second, and its connection and the disk with it. Each of these takes
//! a few milliseconds. They do not see the same moment: who comes or goes meanwhile is counted or not, as a second earlier
//! or later.

use crate::clock::Moment;
use crate::db::{self, Db};
use crate::subscribers::Edition;

/// Readers in a stretch.
const LENGTH: i64 = 10_000;

/// The last reader of the stretch that begins behind `from`; none behind the last of all. Before the first is 0.
pub async fn next(db: &Db, newsletter: &str, from: i64) -> db::Result<Option<i64>> {
    let (to,): (Option<i64>,) = db
        .read(
            "SELECT MAX(subscriber_id) FROM (SELECT subscriber_id FROM subscriptions
                WHERE newsletter = $1 AND subscriber_id > $2 ORDER BY subscriber_id LIMIT $3) AS next",
        )
        .bind(newsletter.to_owned())
        .bind(from)
        .bind(LENGTH)
        .one()
        .await?;
    Ok(to)
}

/// What the readers of a newsletter chose, each pair of edition and language once; who chose no language reads `own`.
pub async fn choices(db: &Db, newsletter: &str, own: &str, now: Moment) -> db::Result<Vec<(Edition, String)>> {
    let mut choices: Vec<(Edition, String)> = Vec::new();
    let mut from = 0;
    while let Some(to) = next(db, newsletter, from).await? {
        let chosen: Vec<(Edition, String)> = db
            .read(
                "SELECT DISTINCT s.edition, COALESCE(s.language, $2)
                 FROM subscriptions x JOIN subscribers s ON s.id = x.subscriber_id
                 WHERE x.newsletter = $1 AND x.subscriber_id > $4 AND x.subscriber_id <= $5
                   AND (s.paused_until IS NULL OR s.paused_until <= $3)",
            )
            .bind(newsletter.to_owned())
            .bind(own.to_owned())
            .bind(now)
            .bind(from)
            .bind(to)
            .all()
            .await?;
        choices.extend(chosen);
        choices.sort_by(|(edition, language), other| (language, edition.as_str()).cmp(&(&other.1, other.0.as_str())));
        choices.dedup();
        from = to;
    }
    Ok(choices)
}
