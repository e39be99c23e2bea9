//! One connection of a run: one mail after another, as long as there are jobs.

use super::job::{Going, Job};
use super::outcome::decide;
use super::send::Run;
use super::{REFUSALS_IN_A_ROW, acts};
use crate::db;
use crate::mail::{Connection, Envelope, Reply, SendError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long a connection that failed waits, the first, second, … time.
const BACK_OFF: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// An outcome that is on its way to the disk, and the issue it belongs to.
type Pending = Option<(Arc<Going>, oneshot::Receiver<bool>)>;

/// Waits until the last outcome is on disk, and learns whether its issue is still to be sent.
async fn settle(run: &Run, pending: &mut Pending) {
    let Some((going, written)) = pending.take() else { return };
    match written.await {
        Ok(true) => {}
        Ok(false) => going.open.store(false, Ordering::SeqCst),
        // The recorder has died: nothing that is sent would be known any more.
        Err(_) => run.stop.cancel(),
    }
}

/// A reader's turn with the mail written for it.
struct Ready {
    job: Job,
    envelope: Envelope,
    bytes: Vec<u8>,
}

/// One connection.
pub struct Line {
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
    /// A connection of a run; `connection` where it is there already.
    pub fn new(
        run: Arc<Run>,
        jobs: Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>,
        connection: Option<Connection>,
    ) -> Line {
        Line { run, jobs, connection, failures: 0, pending: None, next: None, spare: Vec::new() }
    }

    /// Sends until there are no more jobs.
    pub async fn go(mut self) {
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
                let connected = self.run.app.mailer.connect().await;
                self.connection = connected.inspect_err(|error| tracing::warn!(%error, "no other connection")).ok();
            }
            let Some(connection) = self.connection.take() else {
                self.put_down(ready);
                back_off(&self.run, &mut self.failures).await;
                continue;
            };
            self.send(ready, connection).await;
        }
        settle(&self.run, &mut self.pending).await;
        if let Some(connection) = self.connection {
            connection.quit().await;
        }
    }

    /// The next mail: the one that is named already, or the next job's. None when there are no more.
    async fn take(&mut self) -> Option<Ready> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        loop {
            let job = self.jobs.lock().await.recv().await?;
            // Written in vain it would be, and signed.
            if self.run.may_send(&job) {
                return Some(self.write(job));
            }
        }
    }

    fn write(&mut self, job: Job) -> Ready {
        let mut bytes = self.spare.pop().unwrap_or_default();
        let at = self.run.app.clock.now();
        let (letters, cut) = (&job.going.letters, &job.cut);
        let letter = letters.get(&cut.edition, &cut.language, cut.with_ask, cut.discreet);
        let envelope = letters.hand().address(&self.run.app, letter, job.addressee(), &job.to, at, &mut bytes);
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
        settle(&self.run, &mut self.pending).await;
        let written = self.run.write_down(job.ended(outcome), Some(job.domain.clone())).await;
        self.pending = Some((job.going.clone(), written));
        let going = job.going.clone();
        self.put_down(ready);
        if refused {
            settle(&self.run, &mut self.pending).await;
            stop_refused(&self.run, &going).await;
        }
        if !connection.is_broken() {
            self.failures = 0;
            self.connection = Some(connection);
            return;
        }
        if let Some(next) = self.next.take() {
            self.put_down(next);
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
        settle(&self.run, &mut self.pending).await;
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

    /// A mail is done with. Whoever was not tried still waits, for the next who leases their batch.
    fn put_down(&mut self, ready: Ready) {
        self.spare.push(ready.bytes);
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
