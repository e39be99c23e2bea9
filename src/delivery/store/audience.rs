//! Whom an issue would go to, counted before it goes.

use crate::clock::Moment;
use crate::db::{self, Db};
use crate::subscribers::store::stretch;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// How many would get an issue of a newsletter now, by edition: the most frequent first.
pub async fn audience(db: &Db, newsletter: &str, now: Moment) -> db::Result<Vec<(String, i64)>> {
    let mut editions = BTreeMap::new();
    let mut from = 0;
    while let Some(to) = stretch::next(db, newsletter, from).await? {
        for (edition, readers) in between(db, newsletter, now, from, to).await? {
            *editions.entry(edition).or_default() += readers;
        }
        from = to;
    }
    let mut editions: Vec<(String, i64)> = editions.into_iter().collect();
    editions.sort_by_key(|(_, readers)| Reverse(*readers));
    Ok(editions)
}

/// The same of those whose ids are above `from` and up to `to`.
async fn between(db: &Db, newsletter: &str, now: Moment, from: i64, to: i64) -> db::Result<Vec<(String, i64)>> {
    db.read(
        "SELECT s.edition, COUNT(*) FROM subscriptions x JOIN subscribers s ON s.id = x.subscriber_id
         WHERE x.newsletter = $1 AND x.subscriber_id > $3 AND x.subscriber_id <= $4
           AND (s.paused_until IS NULL OR s.paused_until <= $2)
           AND NOT EXISTS (SELECT 1 FROM suppressions p WHERE p.address_index = s.address_index AND p.until > $2)
         GROUP BY s.edition",
    )
    .bind(newsletter.to_owned())
    .bind(now)
    .bind(from)
    .bind(to)
    .all()
    .await
}
