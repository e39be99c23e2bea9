//! One run: as many connections as the mail server should see, fed with one batch of readers after another.
//!
//! ```text
//! lease ─► feeder ─► jobs ─► lines ─► mail server       a line goes on when its outcome is on disk
//!            ▲                 │
//!            │                 ▼
//!            └─ batch done ─ recorder ─► database        a batch is given back when nobody of it is in hand
//! ```
//!
//! Memory is flat: a few hundred readers in each of these places, two buffers for each connection, and the letters, which all
//! readers share. Who must wait long for their domain's turn waits in the database.

use super::REFUSALS_IN_A_ROW;
use super::feed::Feeder;
use super::job::{Done, Ended, Job};
use super::lease::Lease;
use super::line::Line;
use super::outcome::Outcome;
use super::pace::{DomainPace, Pace};
use super::recorder::{Domain, Entry, record};
use super::store::{self, batches, progress};
use crate::app::Shared;
use crate::db;
use crate::mail::Connection;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many readers are looked up at once, and how many may be ahead of the connections.
pub const AHEAD: usize = 500;
/// How many seconds' worth of readers are looked up where a limit makes it slow.
const REACH: usize = 4;

/// Why a run ended early. All of these are tried again.
#[derive(Debug, thiserror::Error)]
pub enum SendFault {
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// A part of the run panicked.
    #[error("a part of the sender died")]
    Died,
}

/// What the feeder, the connections and the heartbeat of a run share.
pub struct Run {
    /// The service.
    pub app: Shared,
    /// The right to send.
    pub lease: Arc<Lease>,
    /// How many connections there are.
    pub connections: usize,
    /// Ends this run: the process stops, the lease is lost, the server is away.
    pub stop: CancellationToken,
    /// How many connections wait because they failed.
    pub down: AtomicUsize,
    /// How many mails were refused for good in a row.
    pub refused: AtomicUsize,
    /// Whether the message limit is on, and where it stands.
    pub pace: Option<Mutex<Pace>>,
    records: mpsc::Sender<Entry>,
}

/// Sends what is due, until nothing is. True when there was anything and a server to take it.
pub async fn run(app: &Shared) -> Result<bool, SendFault> {
    if !anything_due(app).await? || app.stop.is_cancelled() {
        return Ok(false);
    }
    // One connection is tried before anything is claimed: while the server is away this is all that happens.
    let first = match app.mailer.connect().await {
        Ok(connection) => connection,
        Err(error) => {
            tracing::warn!(%error, "the digest waits for the mail server");
            for (issue, ..) in store::sending(&app.db).await? {
                progress::note_away(&app.db, issue, app.clock.now(), &error.sentence()).await?;
            }
            return Ok(false);
        }
    };
    for (issue, ..) in store::sending(&app.db).await? {
        progress::note_back(&app.db, issue, app.clock.now()).await?;
    }
    let connections = app.mailer.connections().max(1);
    let lease = Arc::new(Lease::take(app, connections).await?);
    let (stop, over) = (app.stop.child_token(), CancellationToken::new());
    let heart = tokio::spawn(keep(app.clone(), lease.clone(), stop.clone(), over.clone()));
    let (records, entries) = mpsc::channel(connections * 2 + AHEAD);
    let recorder = tokio::spawn(record(app.clone(), lease.clone(), (connections, stop.clone()), entries));
    let run = Arc::new(Run {
        app: app.clone(),
        lease: lease.clone(),
        records,
        pace: Pace::new(f64::from(app.config.send_rate), Instant::now()).map(Mutex::new),
        connections,
        stop,
        down: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    });
    let (done, mut given) = mpsc::unbounded_channel();
    let sent = work(&run, first, done, &mut given).await;
    drop(run);
    let recorded = recorder.await;
    // All outcomes are on disk: whoever was leased and not tried is free again. If this fails, the lease runs out by itself.
    let given = give_all_back(app, &lease, given).await;
    over.cancel();
    let beaten = heart.await;
    given?;
    store::drop_lease(&app.db, lease.id).await?;
    recorded.and(beaten).map_err(|_| SendFault::Died)?;
    sent
}

/// Until the run is over, and not only until it is to stop: an answer to a final dot may take minutes, and as long as one is
/// out nobody else may have its reader.
async fn keep(app: Shared, lease: Arc<Lease>, stop: CancellationToken, over: CancellationToken) {
    lease.keep(&app, &stop, &over).await;
}

async fn give_all_back(app: &Shared, lease: &Lease, mut given: mpsc::UnboundedReceiver<Done>) -> db::Result<()> {
    while let Some((issue, batch)) = given.recv().await {
        batches::give_back(&app.db, lease.id, issue, batch.up_to).await?;
    }
    Ok(())
}

async fn anything_due(app: &Shared) -> db::Result<bool> {
    for (issue, ..) in store::sending(&app.db).await? {
        if batches::next_due(&app.db, issue).await?.is_some_and(|due| due <= app.clock.now()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Feeder and connections, until the feeder has nothing more or the run is stopped.
async fn work(
    run: &Arc<Run>,
    first: Connection,
    done: mpsc::UnboundedSender<Done>,
    given: &mut mpsc::UnboundedReceiver<Done>,
) -> Result<bool, SendFault> {
    let (give, jobs) = mpsc::channel(run.at_once());
    let jobs = Arc::new(tokio::sync::Mutex::new(jobs));
    let mut lines = JoinSet::new();
    let mut first = Some(first);
    for _ in 0..run.connections {
        lines.spawn(Line::new(run.clone(), jobs.clone(), first.take()).go());
    }
    // The connections alone hold it: when all of them have died, the feeder is told.
    drop(jobs);
    let fed = Feeder::new(run.clone(), give, done, given).feed().await;
    let mut died = false;
    while let Some(ended) = lines.join_next().await {
        died |= ended.is_err();
    }
    let was_away = run.down.load(Ordering::SeqCst) >= run.connections;
    run.stop.cancel();
    if died {
        return Err(SendFault::Died);
    }
    Ok(fed? && !was_away)
}

impl Run {
    /// How many readers are looked up at once: a few seconds' worth where there is a limit, so that who leaves is not
    /// written to an hour later.
    pub fn at_once(&self) -> usize {
        let rate = self.app.config.send_rate as usize;
        if rate == 0 { AHEAD } else { (rate * REACH).clamp(self.connections.min(AHEAD), AHEAD) }
    }

    /// Several processes keep the limits together.
    pub fn share_limits(&self, domains: &mut Option<DomainPace>) {
        let share = |rate: u32| f64::from(rate) / self.lease.sharing() as f64;
        if let Some(pace) = &self.pace {
            pace.lock().unwrap_or_else(PoisonError::into_inner).set(share(self.app.config.send_rate));
        }
        if let Some(domains) = domains {
            domains.set(share(self.app.config.domain_rate));
        }
    }

    /// Whether a mail may be handed over now.
    pub fn may_send(&self, job: &Job) -> bool {
        job.going.open.load(Ordering::SeqCst) && !self.stop.is_cancelled() && self.lease.holds(self.app.clock.now())
    }

    /// Waits for this mail's slot. False when the run is stopped meanwhile.
    pub async fn slot(&self) -> bool {
        let Some(pace) = &self.pace else { return true };
        let slot = pace.lock().unwrap_or_else(PoisonError::into_inner).slot(Instant::now());
        tokio::select! {
            () = tokio::time::sleep_until(slot) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Hands an outcome in; what is answered says that it is on disk.
    pub async fn write_down(&self, (record, in_hand): Ended, domain: Option<Domain>) -> oneshot::Receiver<bool> {
        let (done, written) = oneshot::channel();
        // The recorder outlives every sender, unless it died: then nothing that is sent would be known any more.
        if self.records.send(Entry { record, in_hand, domain, done }).await.is_err() {
            self.stop.cancel();
        }
        written
    }

    /// Counts refusals in a row, over all connections. True when it is too many to be about readers.
    pub fn is_refused(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Sent => self.refused.store(0, Ordering::SeqCst),
            Outcome::Failed { code: Some(_), .. } => {
                return self.refused.fetch_add(1, Ordering::SeqCst) + 1 == REFUSALS_IN_A_ROW;
            }
            _ => {}
        }
        false
    }
}
