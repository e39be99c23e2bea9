//! Writes outcomes down, many in one commit.
//!
//! Connections hand their outcomes in and wait. While one commit is on its way to the disk the next outcomes gather, so the
//! slower the disk, the more of them share a commit. The recorder never gives up: when the database is away the
//! connections wait, since a mail whose outcome is lost would go out twice.

use super::job::InHand;
use super::lease::Lease;
use super::outcome::Outcome;
use super::store::progress::{self, DomainChange, DomainSum};
use super::store::record::{self, Record, Written};
use crate::app::Shared;
use crate::db;
use crate::subscribers;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// As many as a group may have.
const GROUP: usize = 256;
/// How long a group waits to be worth its commit. Meanwhile its connections send the next mails' texts.
const GATHER: Duration = Duration::from_millis(2);
/// How often sums by domain are written: with whatever commit comes next.
const DOMAINS_EVERY: Duration = Duration::from_secs(1);
/// How long to wait for a database that is away.
const AWAY: Duration = Duration::from_millis(500);

/// An outcome on its way to the disk.
#[derive(Debug)]
pub struct Entry {
    /// What to write.
    pub record: Record,
    /// The batch that is in hand until then.
    pub in_hand: Arc<InHand>,
    /// The receiving domain, where the address was opened.
    pub domain: Option<Domain>,
    /// Told whether the issue is still to be sent, once it is on disk.
    pub done: oneshot::Sender<bool>,
}

/// A receiving domain. It does not print its name, which can be a person's.
#[derive(Clone)]
pub struct Domain {
    /// Its mark in this issue.
    pub mark: i64,
    /// Its name.
    pub name: Arc<str>,
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Domain").field("mark", &self.mark).finish_non_exhaustive()
    }
}

/// What is to be added to the counts of each domain, by issue and mark.
type Sums = BTreeMap<(i64, i64), (Arc<str>, DomainChange)>;

/// Writes until the last sender is gone. Where the lease turns out to be gone, the run is stopped: whoever has taken it over
/// sends to the same readers by now.
pub async fn record(
    app: Shared,
    lease: Arc<Lease>,
    (connections, stop): (usize, CancellationToken),
    mut entries: mpsc::Receiver<Entry>,
) {
    let mut recorder = Recorder { app, lease, sums: Sums::new(), nth: 1 };
    let mut flushed = Instant::now();
    let mut group = Vec::with_capacity(GROUP);
    while gather(&mut entries, &mut group, connections * 3 / 4).await > 0 {
        let due = Instant::now().duration_since(flushed) >= DOMAINS_EVERY;
        let written = recorder.write(&group, due).await;
        if due {
            flushed = Instant::now();
        }
        if written.lost && !stop.is_cancelled() {
            recorder.lease.lose();
            stop.cancel();
        }
        for entry in group.drain(..) {
            recorder.add_up(&entry, &written);
            // It is on disk: from here on others may have the batch.
            drop(entry.in_hand);
            // A connection that is gone does not mind.
            let _ = entry.done.send(written.still.get(&entry.record.issue).copied().unwrap_or(false));
        }
    }
    if !recorder.sums.is_empty() {
        recorder.write(&[], true).await;
    }
}

/// Waits for outcomes: for the first as long as it takes, and then a moment until there are `enough`. How many there are;
/// none when there will be no more.
async fn gather(entries: &mut mpsc::Receiver<Entry>, group: &mut Vec<Entry>, enough: usize) -> usize {
    if entries.recv_many(group, GROUP).await == 0 {
        return 0;
    }
    let until = Instant::now() + GATHER;
    while group.len() < enough {
        match tokio::time::timeout_at(until, entries.recv_many(group, GROUP - group.len())).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => break,
        }
    }
    group.len()
}

struct Recorder {
    app: Shared,
    lease: Arc<Lease>,
    sums: Sums,
    /// Which sums these are: a commit whose answer is lost must not add them twice.
    nth: i64,
}

impl Recorder {
    /// Commits a group, and the sums where they are due, however long that takes.
    async fn write(&mut self, group: &[Entry], with_sums: bool) -> Written {
        let records: Vec<Record> = group.iter().map(|entry| entry.record.clone()).collect();
        let mut is_first = true;
        loop {
            match self.try_write(&records, with_sums).await {
                Ok(mut written) => {
                    if !is_first {
                        // What an earlier attempt wrote, whose answer was lost, is in no sum yet.
                        written.counted = records.iter().map(|record| (record.issue, record.reader)).collect();
                    }
                    if with_sums {
                        self.sums.clear();
                        self.nth += 1;
                    }
                    return written;
                }
                Err(error) => {
                    is_first = false;
                    tracing::warn!(%error, outcomes = records.len(), "outcomes cannot be written down; sending waits");
                    tokio::time::sleep(AWAY).await;
                }
            }
        }
    }

    async fn try_write(&self, records: &[Record], with_sums: bool) -> db::Result<Written> {
        let written = match record::sent_at_once(records).filter(|_| self.app.db.is_postgres() && !with_sums) {
            Some(issue) => record::record_sent(&self.app.db, self.lease.id, issue, records).await?,
            None => self.write_in_transaction(records, with_sums).await?,
        };
        for record in records {
            metrics::counter!("friday_deliveries_total", "outcome" => record.outcome.name()).increment(1);
        }
        Ok(written)
    }

    async fn write_in_transaction(&self, records: &[Record], with_sums: bool) -> db::Result<Written> {
        let mut tx = self.app.db.begin().await?;
        let written = record::record(&mut tx, self.lease.id, records).await?;
        for record in records.iter().filter(|r| matches!(r.outcome, Outcome::Failed { gone: true, .. })) {
            let (reader, why) = (record.addressee, subscribers::Reason::Bounced);
            subscribers::store::suppress(&mut tx, reader, why, self.app.clock.now()).await?;
        }
        if with_sums && progress::is_new_sum(&mut tx, self.lease.id, self.nth).await? {
            let sums = self.sums.iter();
            let sums = sums.map(|(&(issue, mark), (name, change))| DomainSum { issue, mark, name, change });
            progress::add_domains(&mut tx, &self.app.keys, &sums.collect::<Vec<_>>()).await?;
        }
        tx.commit().await?;
        Ok(written)
    }

    /// Adds an outcome to the sums, if it was new.
    fn add_up(&mut self, entry: &Entry, written: &Written) {
        let Some(domain) = &entry.domain else { return };
        let change = DomainChange::of(&entry.record);
        if written.counted.contains(&(entry.record.issue, entry.record.reader)) && !change.is_nothing() {
            let key = (entry.record.issue, domain.mark);
            let sums = self.sums.entry(key).or_insert_with(|| (domain.name.clone(), DomainChange::default()));
            sums.1.add(change);
        }
    }
}
