//! One run: as many connections as the mail server should see, fed with one batch of readers after another.
//!
//! ```text
//! claim ─► feeder ─► jobs ─► connections ─► mail server
//!            ▲                    │
//!            └──── recorder ◄─────┘   (a connection goes on when its outcome is on disk)
//! ```
//!
//! Memory is flat: two batches of readers, one buffer for each connection, and the letters, which all readers share. What
//! must wait for its domain's turn waits in the database.

use super::lease::Lease;
use super::letters::{LetterError, Letters};
use super::outcome::{Before, Outcome, decide, trouble};
use super::pace::{DomainPace, Pace, Turn};
use super::recorder::{Domain, Entry, record};
use super::store::{self, Claimed, Record, progress};
use super::{REFUSALS_IN_A_ROW, acts};
use crate::address::Address;
use crate::app::Shared;
use crate::clock::Moment;
use crate::db;
use crate::mail::{Connection, Envelope, Reply, SendError};
use crate::subscribers;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The largest batch that is claimed at once.
const BATCH: usize = 500;
/// How far ahead a batch may reach where a limit makes it slow: who leaves in the meantime still gets the issue.
const REACH: usize = 4;
/// How far ahead a domain's slots are kept in memory.
const HORIZON: Duration = Duration::from_secs(3);
/// A run stays for readers who are due this soon, rather than close its connections and open them again.
const LINGER: Duration = Duration::from_secs(2);
/// How often a waiting feeder looks again.
const LOOK: Duration = Duration::from_millis(100);
/// How long a connection that failed waits, the first, second, … time.
const BACK_OFF: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

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

/// An issue that is being sent.
#[derive(Debug)]
struct Going {
    issue: i64,
    newsletter: String,
    letters: Letters,
    /// Cleared when it is paused or cancelled, by whatever process.
    open: AtomicBool,
    /// Set while this process is about to pause it: until that is on disk it still looks like one to be sent.
    held_up: AtomicBool,
}

/// What a reader chose at the freeze.
struct Cut {
    edition: String,
    language: String,
    with_ask: bool,
    discreet: bool,
}

/// One reader's turn.
struct Job {
    going: Arc<Going>,
    reader: i64,
    addressee: i64,
    to: Address,
    cut: Cut,
    domain: Domain,
    before: Before,
    troubled: bool,
}

impl Job {
    fn record(&self, outcome: Outcome) -> Record {
        Record {
            issue: self.going.issue,
            reader: self.reader,
            addressee: self.addressee,
            was_deferred: self.troubled,
            was_uncertain: self.before.uncertain,
            outcome,
        }
    }
}

struct Run {
    app: Shared,
    lease: Arc<Lease>,
    records: mpsc::Sender<Entry>,
    pace: Option<Mutex<Pace>>,
    connections: usize,
    /// Ends this run: the process stops, the lease is lost, the server is away.
    stop: CancellationToken,
    in_hand: AtomicUsize,
    idle: Notify,
    down: AtomicUsize,
    refused: AtomicUsize,
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
                progress::note_news(&app.db, issue, app.clock.now(), "The mail server is away; nobody is skipped")
                    .await?;
            }
            return Ok(false);
        }
    };
    let connections = app.mailer.connections().max(1);
    let lease = Arc::new(Lease::take(app, connections).await?);
    let (records, entries) = mpsc::channel(connections * 2 + BATCH);
    let recorder = tokio::spawn(record(app.clone(), lease.clone(), entries));
    let run = Arc::new(Run {
        app: app.clone(),
        lease: lease.clone(),
        records,
        pace: Pace::new(f64::from(app.config.send_rate), Instant::now()).map(Mutex::new),
        connections,
        stop: app.stop.child_token(),
        in_hand: AtomicUsize::new(0),
        idle: Notify::new(),
        down: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    });
    let sent = work(&run, first).await;
    drop(run);
    let recorded = recorder.await;
    // Whoever was claimed and not sent is free again. If this fails, the lease runs out by itself.
    store::drop_lease(&app.db, lease.id).await?;
    recorded.map_err(|_| SendFault::Died)?;
    sent
}

async fn anything_due(app: &Shared) -> db::Result<bool> {
    for (issue, ..) in store::sending(&app.db).await? {
        if store::next_due(&app.db, issue).await?.is_some_and(|due| due <= app.clock.now()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Feeder, connections and heartbeat, until the feeder has nothing more or the run is stopped.
async fn work(run: &Arc<Run>, first: Connection) -> Result<bool, SendFault> {
    let (give, jobs) = mpsc::channel(BATCH);
    let jobs = Arc::new(tokio::sync::Mutex::new(jobs));
    let mut lines = JoinSet::new();
    let mut first = Some(first);
    for _ in 0..run.connections {
        lines.spawn(Line::new(run.clone(), jobs.clone(), first.take()).go());
    }
    let keeper = run.clone();
    let heart = tokio::spawn(async move { keeper.lease.keep(&keeper.app, &keeper.stop).await });
    let fed = feed(run, give).await;
    let mut died = false;
    while let Some(ended) = lines.join_next().await {
        died |= ended.is_err();
    }
    let was_away = run.down.load(Ordering::SeqCst) >= run.connections;
    run.stop.cancel();
    died |= heart.await.is_err();
    if died {
        return Err(SendFault::Died);
    }
    Ok(fed? && !was_away)
}

/// Claims readers and hands them to the connections. True when there were any.
async fn feed(run: &Arc<Run>, give: mpsc::Sender<Job>) -> db::Result<bool> {
    let mut goings: HashMap<i64, Arc<Going>> = HashMap::new();
    let mut domains = DomainPace::new(f64::from(run.app.config.domain_rate), HORIZON);
    let mut parked: VecDeque<(Instant, Job)> = VecDeque::new();
    let mut any = false;
    let mut looked_at = None;
    while !run.stop.is_cancelled() {
        run.share_limits(&mut domains);
        refresh(run, &mut goings).await?;
        let mut claimed = 0;
        let mut issues: Vec<Arc<Going>> = goings.values().cloned().collect();
        issues.sort_by_key(|going| going.issue);
        for going in issues {
            if parked.len() < BATCH && going.open.load(Ordering::SeqCst) {
                claimed += claim(run, &going, &mut domains, &mut parked, &give).await?;
            }
        }
        any |= claimed > 0;
        let moved = unpark(run, &mut parked, &give).await;
        if claimed > 0 || moved {
            continue;
        }
        if !parked.is_empty() || run.in_hand.load(Ordering::SeqCst) > 0 {
            let next = parked.front().map_or(LOOK, |(at, _)| at.saturating_duration_since(Instant::now()).min(LOOK));
            tokio::select! {
                () = tokio::time::sleep(next) => {}
                () = run.idle.notified() => {}
                () = run.stop.cancelled() => {}
            }
            continue;
        }
        // Nobody is due. Stay for those who will be in a moment, as long as time goes by.
        let now = run.app.clock.now();
        if looked_at == Some(now) || !due_soon(run, &goings, now).await? {
            break;
        }
        looked_at = Some(now);
        tokio::time::sleep(LOOK).await;
    }
    Ok(any)
}

async fn due_soon(run: &Run, goings: &HashMap<i64, Arc<Going>>, now: Moment) -> db::Result<bool> {
    for issue in goings.keys() {
        if store::next_due(&run.app.db, *issue).await?.is_some_and(|due| due <= now + LINGER) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks which issues are being sent now. One that is not any more gives its readers back.
async fn refresh(run: &Run, goings: &mut HashMap<i64, Arc<Going>>) -> db::Result<()> {
    let sending = store::sending(&run.app.db).await?;
    let ended: Vec<i64> = goings.keys().filter(|id| !sending.iter().any(|(issue, ..)| issue == *id)).copied().collect();
    for issue in ended {
        if let Some(going) = goings.remove(&issue) {
            going.open.store(false, Ordering::SeqCst);
            store::free_issue(&run.app.db, run.lease.id, issue).await?;
        }
    }
    // Paused and resumed between two looks: what was in hand then is dropped, so it must be claimed anew.
    let closed: Vec<i64> = goings
        .values()
        .filter(|going| !going.open.load(Ordering::SeqCst) && !going.held_up.load(Ordering::SeqCst))
        .map(|going| going.issue)
        .collect();
    for issue in closed {
        goings.remove(&issue);
        store::free_issue(&run.app.db, run.lease.id, issue).await?;
    }
    for (issue, newsletter) in sending {
        if goings.contains_key(&issue) {
            continue;
        }
        match Letters::make(&run.app, issue, &newsletter).await {
            Ok(letters) => {
                let (open, held_up) = (AtomicBool::new(true), AtomicBool::new(false));
                let going = Going { issue, newsletter, letters, open, held_up };
                goings.insert(issue, Arc::new(going));
            }
            Err(LetterError::Db(error)) => return Err(error),
            Err(error) => acts::hold_up(&run.app, issue, &error.to_string()).await?,
        }
    }
    Ok(())
}

/// Claims one batch of an issue. How many readers it had.
async fn claim(
    run: &Arc<Run>,
    going: &Arc<Going>,
    domains: &mut Option<DomainPace>,
    parked: &mut VecDeque<(Instant, Job)>,
    give: &mpsc::Sender<Job>,
) -> db::Result<usize> {
    let now = run.app.clock.now();
    let claimed = store::claim(&run.app.db, run.lease.id, going.issue, &going.newsletter, now, run.batch()).await?;
    let count = claimed.len();
    for reader in claimed {
        let job = match job(run, going, reader) {
            Ok(job) => job,
            Err(record) => {
                run.write_down(record, None).await;
                continue;
            }
        };
        let turn = domains.as_mut().map(|pace| pace.turn(key(&job.domain.name), Instant::now()));
        match turn {
            Some(Turn::Later(by)) => {
                let outcome = Outcome::Returned { next_at: Some(now + by) };
                run.write_down(job.record(outcome), None).await;
            }
            Some(Turn::At(at)) if at > Instant::now() => park(parked, at, job),
            _ => run.give(job, give).await,
        }
    }
    Ok(count)
}

/// A reader's turn, made ready, or what has become of it already.
fn job(run: &Run, going: &Arc<Going>, reader: Claimed) -> Result<Job, Record> {
    let before = Before { attempts: reader.attempts, drops: reader.drops, uncertain: reader.uncertain };
    let settled = |outcome| Record {
        issue: going.issue,
        reader: reader.subscriber_id,
        addressee: reader.addressee,
        was_deferred: reader.troubled,
        was_uncertain: reader.uncertain,
        outcome,
    };
    let Some(sealed) = &reader.address_sealed else { return Err(settled(Outcome::Skipped)) };
    let unreadable = Outcome::Failed { code: None, trouble: trouble::UNREADABLE.to_owned(), gone: false };
    let to = subscribers::open_address(&run.app.keys, reader.addressee, sealed).map_err(|_| settled(unreadable))?;
    let mark = progress::domain_mark(&run.app.keys, going.issue, to.domain());
    let domain = Domain { mark, name: to.domain().into() };
    let cut = Cut {
        edition: reader.edition,
        language: reader.language,
        with_ask: reader.with_ask,
        discreet: reader.discreet,
    };
    Ok(Job {
        going: going.clone(),
        reader: reader.subscriber_id,
        addressee: reader.addressee,
        to,
        cut,
        domain,
        before,
        troubled: reader.troubled,
    })
}

/// A domain's place among the limits, across issues. It never leaves the memory.
fn key(domain: &str) -> i64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    domain.hash(&mut hasher);
    hasher.finish().cast_signed()
}

fn park(parked: &mut VecDeque<(Instant, Job)>, at: Instant, job: Job) {
    let place = parked.partition_point(|(other, _)| *other <= at);
    parked.insert(place, (at, job));
}

async fn unpark(run: &Run, parked: &mut VecDeque<(Instant, Job)>, give: &mpsc::Sender<Job>) -> bool {
    let mut moved = false;
    while parked.front().is_some_and(|(at, _)| *at <= Instant::now()) {
        if let Some((_, job)) = parked.pop_front() {
            run.give(job, give).await;
            moved = true;
        }
    }
    moved
}

impl Run {
    /// A few seconds' worth where there is a limit, so that who leaves does not stand in a batch for an hour.
    fn batch(&self) -> usize {
        let rate = self.app.config.send_rate as usize;
        if rate == 0 { BATCH } else { (rate * REACH).clamp(self.connections, BATCH) }
    }

    /// Several processes keep the limits together.
    fn share_limits(&self, domains: &mut Option<DomainPace>) {
        let share = |rate: u32| f64::from(rate) / self.lease.sharing() as f64;
        if let Some(pace) = &self.pace {
            pace.lock().unwrap_or_else(PoisonError::into_inner).set(share(self.app.config.send_rate));
        }
        if let Some(domains) = domains {
            domains.set(share(self.app.config.domain_rate));
        }
    }

    async fn give(&self, job: Job, to: &mpsc::Sender<Job>) {
        self.in_hand.fetch_add(1, Ordering::SeqCst);
        // The connections end only after the feeder, unless all of them died: then the run ends as well.
        if to.send(job).await.is_err() {
            self.done();
            self.stop.cancel();
        }
    }

    /// A job is off the connections' hands.
    fn done(&self) {
        if self.in_hand.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.idle.notify_one();
        }
    }

    fn may_send(&self, job: &Job) -> bool {
        job.going.open.load(Ordering::SeqCst) && !self.stop.is_cancelled() && self.lease.holds(self.app.clock.now())
    }

    /// Waits for this mail's slot. False when the run is stopped meanwhile.
    async fn slot(&self) -> bool {
        let Some(pace) = &self.pace else { return true };
        let slot = pace.lock().unwrap_or_else(PoisonError::into_inner).slot(Instant::now());
        tokio::select! {
            () = tokio::time::sleep_until(slot) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// Hands an outcome in; what is answered says that it is on disk.
    async fn write_down(&self, record: Record, domain: Option<Domain>) -> oneshot::Receiver<bool> {
        let (done, written) = oneshot::channel();
        // The recorder outlives every sender; where it died, the receiver says so.
        let _ = self.records.send(Entry { record, domain, done }).await;
        written
    }

    /// Counts refusals in a row, over all connections. True when it is too many to be about readers.
    fn is_refused(&self, outcome: &Outcome) -> bool {
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

/// An outcome that is on its way to the disk, and the issue it belongs to.
type Pending = Option<(Arc<Going>, oneshot::Receiver<bool>)>;

/// Waits until the last outcome is on disk, and learns whether its issue is still to be sent.
async fn settle(pending: &mut Pending) {
    if let Some((going, written)) = pending.take()
        && !written.await.unwrap_or(false)
    {
        going.open.store(false, Ordering::SeqCst);
    }
}

/// A reader's turn with the mail written for it.
struct Ready {
    job: Job,
    envelope: Envelope,
    bytes: Vec<u8>,
}

/// One connection: one mail after another, as long as there are jobs.
struct Line {
    run: Arc<Run>,
    jobs: Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>,
    connection: Option<Connection>,
    failures: usize,
    pending: Pending,
    /// A mail that was named to the server with the dot of the one before.
    next: Option<Ready>,
    /// Room for a mail's text, to be used again.
    spare: Vec<Vec<u8>>,
}

/// What became of a mail on its connection.
enum Tried {
    /// There is an answer, or none came.
    Heard(Result<Reply, SendError>),
    /// It was not handed over: no more mails are to go, or not of this issue.
    Stopped,
}

impl Line {
    fn new(run: Arc<Run>, jobs: Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>, connection: Option<Connection>) -> Line {
        Line { run, jobs, connection, failures: 0, pending: None, next: None, spare: Vec::new() }
    }

    async fn go(mut self) {
        loop {
            let is_named = self.next.is_some();
            let Some(ready) = self.take().await else { break };
            if !self.run.may_send(&ready.job) {
                if is_named {
                    // Only closing the connection takes a mail back that was named.
                    self.connection = None;
                }
                self.put_down(ready);
                continue;
            }
            if self.connection.is_none() {
                self.connection = self.run.app.mailer.connect().await.ok();
            }
            let Some(connection) = self.connection.take() else {
                self.give_back(ready).await;
                back_off(&self.run, &mut self.failures).await;
                continue;
            };
            self.send(ready, connection).await;
        }
        settle(&mut self.pending).await;
        if let Some(connection) = self.connection {
            connection.quit().await;
        }
    }

    /// The next mail: the one that is named already, or the next job's. None when there are no more.
    async fn take(&mut self) -> Option<Ready> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        let job = self.jobs.lock().await.recv().await?;
        Some(self.write(job))
    }

    fn write(&mut self, job: Job) -> Ready {
        let mut bytes = self.spare.pop().unwrap_or_default();
        let at = self.run.app.clock.now();
        let (letters, cut) = (&job.going.letters, &job.cut);
        let letter = letters.get(&cut.edition, &cut.language, cut.with_ask, cut.discreet);
        let envelope = letters.hand().address(&self.run.app, letter, job.addressee, &job.to, at, &mut bytes);
        self.run.app.mailer.sign(&envelope, &mut bytes);
        Ready { job, envelope, bytes }
    }

    /// Hands a mail over and has the outcome written down.
    async fn send(&mut self, ready: Ready, mut connection: Connection) {
        let answer = match self.hand_over(&ready, &mut connection).await {
            Tried::Heard(answer) => answer,
            Tried::Stopped => {
                // Closing the connection takes back what was said so far.
                self.put_down(ready);
                return;
            }
        };
        let job = &ready.job;
        let outcome = decide(answer, job.before, self.run.app.clock.now(), db::new_id());
        let refused = self.run.is_refused(&outcome);
        if refused {
            // Before anything is waited for: meanwhile the other connections would go on.
            job.going.held_up.store(true, Ordering::SeqCst);
            job.going.open.store(false, Ordering::SeqCst);
        }
        settle(&mut self.pending).await;
        let written = self.run.write_down(job.record(outcome), Some(job.domain.clone())).await;
        self.pending = Some((job.going.clone(), written));
        let going = job.going.clone();
        self.put_down(ready);
        if refused {
            settle(&mut self.pending).await;
            stop_refused(&self.run, &going).await;
        }
        if !connection.is_broken() {
            self.failures = 0;
            self.connection = Some(connection);
            return;
        }
        if let Some(next) = self.next.take() {
            self.give_back(next).await;
        }
        self.failures += 1;
        // A server that closes after some mails is greeted again at once; one that breaks over each is left alone.
        if self.failures > 1 {
            back_off(&self.run, &mut self.failures).await;
        }
    }

    /// The conversation about one mail. Its text goes out while the last outcome is on its way to the disk; its final dot
    /// only after that, so that no more than one mail of a connection is ever in doubt.
    async fn hand_over(&mut self, ready: &Ready, connection: &mut Connection) -> Tried {
        if !self.run.slot().await || !self.run.may_send(&ready.job) {
            return Tried::Stopped;
        }
        if let Err(error) = connection.open(&ready.envelope).await {
            return Tried::Heard(Err(error));
        }
        if let Err(error) = connection.body(&ready.bytes).await {
            return Tried::Heard(Err(error));
        }
        if connection.looks_ahead() {
            self.next = self.look_ahead();
        }
        settle(&mut self.pending).await;
        // Nothing but the next line stands between the look at the lease and the mail.
        if !self.run.may_send(&ready.job) {
            return Tried::Stopped;
        }
        Tried::Heard(connection.end(self.next.as_ref().map(|next| &next.envelope)).await)
    }

    /// The next mail, if there is one at once and nothing to wait for.
    fn look_ahead(&mut self) -> Option<Ready> {
        if self.run.pace.is_some() {
            return None;
        }
        let job = self.jobs.try_lock().ok()?.try_recv().ok()?;
        Some(self.write(job))
    }

    /// A job is done with, whatever became of it.
    fn put_down(&mut self, ready: Ready) {
        self.spare.push(ready.bytes);
        self.run.done();
    }

    /// A job that was not tried: for any other connection.
    async fn give_back(&mut self, ready: Ready) {
        settle(&mut self.pending).await;
        let written = self.run.write_down(ready.job.record(Outcome::Returned { next_at: None }), None).await;
        self.pending = Some((ready.job.going.clone(), written));
        self.put_down(ready);
    }
}

async fn stop_refused(run: &Run, going: &Going) {
    let why = format!("The mail server refused {REFUSALS_IN_A_ROW} readers in a row");
    if let Err(error) = acts::hold_up(&run.app, going.issue, &why).await {
        tracing::warn!(%error, issue = going.issue, "the issue cannot be paused");
        run.stop.cancel();
    }
    // Whoever resumes it has mended something: the count begins anew.
    run.refused.store(0, Ordering::SeqCst);
    going.held_up.store(false, Ordering::SeqCst);
}

/// A connection that failed waits. When all of them do, the run ends: the next one begins with a single try.
async fn back_off(run: &Run, failures: &mut usize) {
    let pause = BACK_OFF[(*failures).min(BACK_OFF.len() - 1)];
    *failures += 1;
    if run.down.fetch_add(1, Ordering::SeqCst) + 1 >= run.connections {
        run.stop.cancel();
        return;
    }
    tokio::select! {
        () = tokio::time::sleep(pause) => { run.down.fetch_sub(1, Ordering::SeqCst); }
        () = run.stop.cancelled() => {}
    }
}
