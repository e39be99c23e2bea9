//! Outcomes, on their way into the rows of the readers and the counts of a run.
//!
//! Nearly all are "sent": one statement marks up to thirty-two of them. Whatever is handed in twice, because the answer to a
//! commit was lost, changes nothing the second time.

use super::super::outcome::{Outcome, trouble};
use crate::clock::Moment;
use crate::db::{self, Db, Query, Tx};
use std::collections::{BTreeSet, HashMap, HashSet};

/// An outcome to be written down.
#[derive(Clone, Debug)]
pub struct Record {
    /// The issue.
    pub issue: i64,
    /// The reader, as the audience has them.
    pub reader: i64,
    /// The batch they are in: its largest id.
    pub batch: i64,
    /// The reader to whom it was sent.
    pub addressee: i64,
    /// Whether the row counts as deferred until now.
    pub was_deferred: bool,
    /// Whether the row counts as uncertain until now.
    pub was_uncertain: bool,
    /// What became of it.
    pub outcome: Outcome,
}

/// By how much a run's counts change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Change {
    sent: i64,
    failed: i64,
    skipped: i64,
    deferred: i64,
    uncertain: i64,
}

/// What writing outcomes down has shown.
#[derive(Debug, Default)]
pub struct Written {
    /// Whether an issue is still to be sent.
    pub still: HashMap<i64, bool>,
    /// Issue and reader of each outcome that counts: those that were not written before.
    pub counted: HashSet<(i64, i64)>,
    /// The lease under which they were sent is gone, and others may have their readers.
    pub lost: bool,
}

/// Writes outcomes down, all of them or none.
pub async fn record(tx: &mut Tx, lease: i64, records: &[Record]) -> db::Result<Written> {
    let mut written = Written::default();
    let issues: BTreeSet<i64> = records.iter().map(|record| record.issue).collect();
    for issue in issues {
        let (sent, others): (Vec<&Record>, Vec<&Record>) =
            records.iter().filter(|r| r.issue == issue).partition(|r| r.outcome == Outcome::Sent);
        let mut marked = HashSet::new();
        for some in sent.chunks(AT_ONCE) {
            marked.extend(mark_sent(tx, issue, some).await?);
        }
        for other in others {
            if mark(tx, lease, other).await? {
                marked.insert(other.reader);
            }
        }
        let mut change = Change::default();
        for record in records.iter().filter(|r| r.issue == issue && marked.contains(&r.reader)) {
            count(&mut change, record);
            written.counted.insert((issue, record.reader));
        }
        let (still, holds) = apply(tx, lease, issue, change).await?;
        written.still.insert(issue, still);
        written.lost |= !holds;
    }
    Ok(written)
}

const AT_ONCE: usize = 32;

/// Which rows `mark_sent` and `record_sent` are about: $1 is the issue, and thirty-two readers follow.
macro_rules! mark_sent {
    () => {
        "UPDATE deliveries SET state = 'sent', code = NULL, trouble = NULL, uncertain = FALSE
         WHERE issue_id = $1 AND state = 'waiting' AND subscriber_id IN
            ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
             $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)
         RETURNING subscriber_id"
    };
}

/// The values of `mark_sent!`.
fn bind_sent<'q>(query: Query<'q>, issue: i64, records: &[&Record]) -> Query<'q> {
    // Fewer than there are places for: the last one stands in the rest.
    let reader = |at: usize| records[at.min(records.len() - 1)].reader;
    (0..AT_ONCE).fold(query.bind(issue), |query, at| query.bind(reader(at)))
}

/// A mail that was accepted is sent, whoever holds the lease by now: not to write it down would send it again.
async fn mark_sent(tx: &mut Tx, issue: i64, records: &[&Record]) -> db::Result<Vec<i64>> {
    let marked: Vec<(i64,)> = bind_sent(tx.query(mark_sent!()), issue, records).all().await?;
    Ok(marked.into_iter().map(|(reader,)| reader).collect())
}

/// The issue of outcomes that are all "sent", at the first try, and few enough for one statement.
pub fn sent_at_once(records: &[Record]) -> Option<i64> {
    let issue = records.first()?.issue;
    let is_plain = |r: &Record| r.issue == issue && r.outcome == Outcome::Sent && !r.was_deferred && !r.was_uncertain;
    (records.len() <= AT_ONCE && records.iter().all(is_plain)).then_some(issue)
}

/// [`record`] for the outcomes of [`sent_at_once`], which nearly all are: one statement and one round trip, where a transaction
/// takes four. PostgreSQL only: SQLite has no round trips, and no UPDATE within a statement.
pub async fn record_sent(db: &Db, lease: i64, issue: i64, records: &[Record]) -> db::Result<Written> {
    let records: Vec<&Record> = records.iter().collect();
    let query = db.write(concat!(
        "WITH marked AS (",
        mark_sent!(),
        "), counted AS (UPDATE delivery_runs SET sent = sent + (SELECT COUNT(*) FROM marked) WHERE issue_id = $1)
         SELECT issues.state, EXISTS (SELECT 1 FROM delivery_leases WHERE id = $34), marked.subscriber_id
         FROM issues LEFT JOIN marked ON TRUE WHERE issues.id = $1"
    ));
    let rows: Vec<(String, bool, Option<i64>)> = bind_sent(query, issue, &records).bind(lease).all().await?;
    let is_sending = rows.first().is_some_and(|(state, ..)| state == "sending");
    let lost = rows.first().is_some_and(|(_, holds, _)| !holds);
    let counted = rows.into_iter().filter_map(|(.., reader)| Some((issue, reader?))).collect();
    Ok(Written { still: HashMap::from([(issue, is_sending)]), counted, lost })
}

/// Writes one other outcome down. False where it was written before, and where another process has taken the batch over.
async fn mark(tx: &mut Tx, lease: i64, record: &Record) -> db::Result<bool> {
    let (sql, state, code, trouble, next_at): (&'static str, _, Option<i64>, Option<String>, Option<Moment>) =
        match &record.outcome {
            Outcome::Later { code, trouble, next_at } => {
                (LATER, "waiting", Some((*code).into()), Some(trouble.clone()), Some(*next_at))
            }
            Outcome::Dropped { next_at } => {
                (DROPPED, "waiting", None, Some(trouble::DROPPED.to_owned()), Some(*next_at))
            }
            Outcome::Uncertain { next_at } => {
                let state = if next_at.is_some() { "waiting" } else { "failed" };
                (UNCERTAIN, state, None, Some(trouble::UNCERTAIN.to_owned()), *next_at)
            }
            Outcome::Failed { code, trouble, .. } => (DONE, "failed", code.map(i64::from), Some(trouble.clone()), None),
            Outcome::Skipped => (DONE, "skipped", None, None, None),
            Outcome::Returned { next_at } => (RETURNED, "waiting", None, None, Some(*next_at)),
            Outcome::Sent => return Ok(false),
        };
    let marked = tx
        .query(sql)
        .bind(record.issue)
        .bind(record.reader)
        .bind(lease)
        .bind(state)
        .bind(code)
        .bind(trouble)
        .bind(next_at)
        .bind(record.batch)
        .execute()
        .await?;
    Ok(marked == 1)
}

// A row that is due at exactly the time to be written has it written already: the commit was done, but its answer was lost,
// and the outcome is handed in again. It must not count twice.
macro_rules! outcome {
    ($also:literal, $whose:literal) => {
        concat!(
            "UPDATE deliveries SET state = $4, ",
            $also,
            " WHERE issue_id = $1 AND subscriber_id = $2 AND state = 'waiting' AND next_at <> COALESCE($7, next_at + 1)
                AND EXISTS (SELECT 1 FROM delivery_batches b WHERE b.issue_id = $1 AND b.up_to = $8 AND ",
            $whose,
            ")"
        )
    };
}
const LATER: &str = outcome!("code = $5, trouble = $6, next_at = $7, attempts = attempts + 1", "b.lease = $3");
const DROPPED: &str = outcome!("code = $5, trouble = $6, next_at = $7, drops = drops + 1", "b.lease = $3");
// That somebody may have it is to be known, whoever has their batch by now.
const UNCERTAIN: &str =
    outcome!("code = $5, trouble = $6, next_at = COALESCE($7, next_at), uncertain = TRUE", "(b.lease = $3 OR TRUE)");
// Whoever may have it from an earlier try may still have it when a later one is refused.
const DONE: &str = outcome!(
    "code = $5, trouble = $6, next_at = COALESCE($7, next_at), uncertain = (uncertain AND $4 = 'failed')",
    "b.lease = $3"
);
const RETURNED: &str =
    outcome!("code = COALESCE($5, code), trouble = COALESCE($6, trouble), next_at = $7", "b.lease = $3");

fn count(change: &mut Change, record: &Record) {
    let (deferred, uncertain) = match &record.outcome {
        Outcome::Sent => {
            change.sent += 1;
            (false, false)
        }
        Outcome::Failed { .. } => {
            change.failed += 1;
            (false, record.was_uncertain)
        }
        Outcome::Skipped => {
            change.skipped += 1;
            (false, false)
        }
        Outcome::Uncertain { next_at: None } => {
            change.failed += 1;
            (false, true)
        }
        Outcome::Uncertain { next_at: Some(_) } => (true, true),
        Outcome::Later { .. } | Outcome::Dropped { .. } => (true, record.was_uncertain),
        Outcome::Returned { .. } => (record.was_deferred, record.was_uncertain),
    };
    change.deferred += i64::from(deferred) - i64::from(record.was_deferred);
    change.uncertain += i64::from(uncertain) - i64::from(record.was_uncertain);
}

/// Changes a run's counts; whether its issue is still to be sent, and whether the lease is still there.
async fn apply(tx: &mut Tx, lease: i64, issue: i64, change: Change) -> db::Result<(bool, bool)> {
    let state: Option<(String, bool)> = tx
        .query(
            "UPDATE delivery_runs SET sent = sent + $2, failed = failed + $3, skipped = skipped + $4,
                    deferred = deferred + $5, uncertain = uncertain + $6 WHERE issue_id = $1
             RETURNING (SELECT state FROM issues WHERE id = $1), EXISTS (SELECT 1 FROM delivery_leases WHERE id = $7)",
        )
        .bind(issue)
        .bind(change.sent)
        .bind(change.failed)
        .bind(change.skipped)
        .bind(change.deferred)
        .bind(change.uncertain)
        .bind(lease)
        .optional()
        .await?;
    Ok(state.map_or((false, true), |(state, holds)| (state == "sending", holds)))
}
