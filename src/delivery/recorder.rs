//! Writes outcomes down, many in one commit.
//!
//! Connections hand their outcomes in and wait. While one commit is on its way to the disk the next outcomes gather, so the
//! slower the disk, the more of them share a commit. The recorder never gives up: when the database is away the
//! connections wait, since a mail whose outcome is lost would go out twice.

use super::lease::Lease;
use super::outcome::Outcome;
use super::store::progress::{self, DomainChange};
use super::store::{self, Record};
use crate::app::Shared;
use crate::db;
use crate::subscribers;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// As many as a group may have.
const GROUP: usize = 256;
/// How often sums by domain are written: with whatever commit comes next.
const DOMAINS_EVERY: Duration = Duration::from_secs(1);
/// How long to wait for a database that is away.
const AWAY: Duration = Duration::from_millis(500);

/// An outcome on its way to the disk.
#[derive(Debug)]
pub struct Entry {
    /// What to write.
    pub record: Record,
    /// The receiving domain, where the address was opened.
    pub domain: Option<Domain>,
    /// Told whether the issue is still to be sent, once it is on disk.
    pub done: oneshot::Sender<bool>,
}

/// A receiving domain.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its mark in this issue.
    pub mark: i64,
    /// Its name.
    pub name: Arc<str>,
}

type Domains = HashMap<(i64, i64), (Arc<str>, DomainChange)>;

/// Writes until the last sender is gone.
pub async fn record(app: Shared, lease: Arc<Lease>, mut entries: mpsc::Receiver<Entry>) {
    let mut domains = Domains::new();
    let mut flushed = Instant::now();
    let mut group = Vec::with_capacity(GROUP);
    while entries.recv_many(&mut group, GROUP).await > 0 {
        for entry in &group {
            add_up(&mut domains, entry);
        }
        let due = Instant::now().duration_since(flushed) >= DOMAINS_EVERY;
        let records: Vec<Record> = group.iter().map(|e| e.record.clone()).collect();
        let still = write(&app, &lease, &records, if due { Some(&domains) } else { None }).await;
        if due {
            domains.clear();
            flushed = Instant::now();
        }
        for entry in group.drain(..) {
            // A connection that is gone does not mind.
            let _ = entry.done.send(still.get(&entry.record.issue).copied().unwrap_or(false));
        }
    }
    if !domains.is_empty() {
        write(&app, &lease, &[], Some(&domains)).await;
    }
}

/// Commits a group, however long that takes.
async fn write(app: &Shared, lease: &Lease, records: &[Record], domains: Option<&Domains>) -> HashMap<i64, bool> {
    loop {
        match try_write(app, lease, records, domains).await {
            Ok(still) => return still,
            Err(error) => {
                tracing::warn!(%error, outcomes = records.len(), "outcomes cannot be written down; sending waits");
                tokio::time::sleep(AWAY).await;
            }
        }
    }
}

async fn try_write(
    app: &Shared,
    lease: &Lease,
    records: &[Record],
    domains: Option<&Domains>,
) -> db::Result<HashMap<i64, bool>> {
    let mut tx = app.db.begin().await?;
    let still = store::record(&mut tx, lease.id, records).await?;
    for record in records.iter().filter(|r| matches!(r.outcome, Outcome::Failed { gone: true, .. })) {
        subscribers::store::suppress(&mut tx, record.addressee, subscribers::Reason::Bounced, app.clock.now()).await?;
    }
    for ((issue, mark), (name, change)) in domains.into_iter().flatten() {
        progress::add_domain(&mut tx, &app.keys, *issue, *mark, name, change).await?;
    }
    tx.commit().await?;
    for record in records {
        metrics::counter!("friday_deliveries_total", "outcome" => record.outcome.name()).increment(1);
    }
    Ok(still)
}

fn add_up(domains: &mut Domains, entry: &Entry) {
    let Some(domain) = &entry.domain else { return };
    let change = DomainChange::of(&entry.record);
    if !change.is_nothing() {
        let sums = domains
            .entry((entry.record.issue, domain.mark))
            .or_insert_with(|| (domain.name.clone(), DomainChange::default()));
        sums.1.add(change);
    }
}
