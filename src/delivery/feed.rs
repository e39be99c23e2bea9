//! The feeder: leases one batch after another, hands its readers to the connections, and gives it back.

use super::acts;
use super::job::{Done, Going, InHand, Job};
use super::letters::{LetterError, Letters};
use super::outcome::Outcome;
use super::pace::{DomainPace, Turn};
use super::send::{AHEAD, Run};
use super::store;
use super::store::batches::{self, Batch, Claimed};
use crate::clock::Moment;
use crate::db;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How far ahead a domain's slots are kept in memory.
const HORIZON: Duration = Duration::from_secs(3);
/// A run stays for readers who are due this soon, rather than close its connections and open them again.
const LINGER: Duration = Duration::from_secs(2);
/// How often a waiting feeder looks again.
const LOOK: Duration = Duration::from_millis(100);

/// A leased batch whose readers are handed out, and the last of them so far.
struct Reading {
    in_hand: Arc<InHand>,
    from: i64,
}

/// Feeds one run.
pub struct Feeder<'r> {
    run: Arc<Run>,
    jobs: mpsc::Sender<Job>,
    goings: BTreeMap<i64, Arc<Going>>,
    reading: HashMap<i64, Reading>,
    domains: Option<DomainPace>,
    parked: VecDeque<(Instant, Job)>,
    /// How many batches are leased and not given back.
    held: usize,
    done: mpsc::UnboundedSender<Done>,
    given: &'r mut mpsc::UnboundedReceiver<Done>,
}

impl<'r> Feeder<'r> {
    /// For a run: readers go to `jobs`, and `given` hears through `done` which batch is not in hand any more.
    pub fn new(
        run: Arc<Run>,
        jobs: mpsc::Sender<Job>,
        done: mpsc::UnboundedSender<Done>,
        given: &'r mut mpsc::UnboundedReceiver<Done>,
    ) -> Feeder<'r> {
        let domains = DomainPace::new(f64::from(run.app.config.domain_rate), HORIZON);
        Feeder {
            run,
            jobs,
            goings: BTreeMap::new(),
            reading: HashMap::new(),
            domains,
            parked: VecDeque::new(),
            held: 0,
            done,
            given,
        }
    }

    /// Feeds until nobody is due, or the run is stopped. True when there was anybody.
    pub async fn feed(mut self) -> db::Result<bool> {
        let mut any = false;
        let mut looked_at = None;
        while !self.run.stop.is_cancelled() {
            self.run.share_limits(&mut self.domains);
            while let Ok(done) = self.given.try_recv() {
                self.give_back(done).await?;
            }
            if !self.run.lease.holds(self.run.app.clock.now()) {
                // It may be renewed yet. Until it is, whoever is handed out would not be sent to.
                self.wait().await?;
                continue;
            }
            self.refresh().await?;
            let claimed = self.claim_each().await?;
            any |= claimed;
            if self.unpark().await || claimed {
                continue;
            }
            if self.held > 0 {
                self.wait().await?;
                continue;
            }
            // Nobody is due. Stay for those who will be in a moment, as long as time goes by.
            let now = self.run.app.clock.now();
            if looked_at == Some(now) || !self.is_due_soon(now).await? {
                break;
            }
            looked_at = Some(now);
            tokio::time::sleep(LOOK).await;
        }
        Ok(any)
    }

    /// Looks which issues are being sent now.
    async fn refresh(&mut self) -> db::Result<()> {
        let sending = store::sending(&self.run.app.db).await?;
        // One that was paused and resumed between two looks begins anew: what was in hand then has been dropped.
        let is_over = |going: &Going| {
            !sending.iter().any(|(issue, ..)| *issue == going.issue)
                || !going.open.load(Ordering::SeqCst) && !going.held_up.load(Ordering::SeqCst)
        };
        let over: Vec<i64> = self.goings.values().filter(|going| is_over(going)).map(|going| going.issue).collect();
        for issue in over {
            self.reading.remove(&issue);
            if let Some(going) = self.goings.remove(&issue) {
                going.open.store(false, Ordering::SeqCst);
            }
        }
        for (issue, newsletter) in sending {
            if self.goings.contains_key(&issue) {
                continue;
            }
            match Letters::make(&self.run.app, issue, &newsletter).await {
                Ok(letters) => {
                    let (open, held_up) = (AtomicBool::new(true), AtomicBool::new(false));
                    self.goings.insert(issue, Arc::new(Going { issue, newsletter, letters, open, held_up }));
                }
                Err(LetterError::Db(error)) => return Err(error),
                Err(error) => acts::hold_up(&self.run.app, issue, &error.to_string()).await?,
            }
        }
        Ok(())
    }

    /// Hands out some readers of each issue. True when there were any, or a batch of which there might have been.
    async fn claim_each(&mut self) -> db::Result<bool> {
        let mut claimed = false;
        let goings: Vec<Arc<Going>> = self.goings.values().cloned().collect();
        for going in goings {
            if self.parked.len() < AHEAD && going.open.load(Ordering::SeqCst) {
                claimed |= self.claim(&going).await?;
            }
        }
        Ok(claimed)
    }

    async fn claim(&mut self, going: &Arc<Going>) -> db::Result<bool> {
        let now = self.run.app.clock.now();
        let Some(Reading { in_hand, from }) = self.next(going.issue, now).await? else { return Ok(false) };
        let (whose, rest) = ((going.issue, going.newsletter.as_str()), Batch { above: from, ..in_hand.batch });
        let most = self.run.at_once();
        let ours = (self.run.lease.id, rest);
        let readers = batches::readers(&self.run.app.db, whose, ours, now, most).await?;
        if let Some(last) = readers.get(most - 1) {
            let from = last.subscriber_id;
            self.reading.insert(going.issue, Reading { in_hand: in_hand.clone(), from });
        }
        for reader in readers {
            self.hand_out(going, &in_hand, reader, now).await;
        }
        Ok(true)
    }

    /// The batch that is being handed out, or the next one that is due.
    async fn next(&mut self, issue: i64, now: Moment) -> db::Result<Option<Reading>> {
        if let Some(reading) = self.reading.remove(&issue) {
            return Ok(Some(reading));
        }
        let leased = batches::lease(&self.run.app.db, self.run.lease.id, issue, now).await?;
        Ok(leased.map(|batch| {
            self.held += 1;
            Reading { in_hand: InHand::new(issue, batch, self.done.clone()), from: batch.above }
        }))
    }

    async fn hand_out(&mut self, going: &Arc<Going>, in_hand: &Arc<InHand>, reader: Claimed, now: Moment) {
        let job = match Job::new(&self.run.app, going, in_hand, reader) {
            Ok(job) => job,
            Err(ended) => {
                self.run.write_down(ended, None).await;
                return;
            }
        };
        let turn = self.domains.as_mut().map(|pace| pace.turn(key(&job.domain.name), Instant::now()));
        match turn {
            Some(Turn::Later(by)) => {
                self.run.write_down(job.ended(Outcome::Returned { next_at: now + by }), None).await;
            }
            Some(Turn::At(at)) if at > Instant::now() => {
                let place = self.parked.partition_point(|(other, _)| *other <= at);
                self.parked.insert(place, (at, job));
            }
            _ => self.give(job).await,
        }
    }

    /// Hands out those whose domain's turn has come. True when there were any.
    async fn unpark(&mut self) -> bool {
        let mut moved = false;
        while self.parked.front().is_some_and(|(at, _)| *at <= Instant::now()) {
            if let Some((_, job)) = self.parked.pop_front() {
                self.give(job).await;
                moved = true;
            }
        }
        moved
    }

    async fn give(&self, job: Job) {
        // The connections end only after the feeder, unless all of them have died: then the run ends as well.
        if self.jobs.send(job).await.is_err() {
            self.run.stop.cancel();
        }
    }

    /// Waits until a batch is not in hand any more, or somebody's turn comes, or for a moment.
    async fn wait(&mut self) -> db::Result<()> {
        let next = self.parked.front().map_or(LOOK, |(at, _)| at.saturating_duration_since(Instant::now()).min(LOOK));
        tokio::select! {
            () = tokio::time::sleep(next) => Ok(()),
            () = self.run.stop.cancelled() => Ok(()),
            // It is never closed: this feeder holds a sender itself.
            Some(done) = self.given.recv() => self.give_back(done).await,
        }
    }

    async fn give_back(&mut self, (issue, batch): Done) -> db::Result<()> {
        self.held -= 1;
        batches::give_back(&self.run.app.db, self.run.lease.id, issue, batch.up_to).await
    }

    async fn is_due_soon(&self, now: Moment) -> db::Result<bool> {
        for issue in self.goings.keys() {
            if batches::next_due(&self.run.app.db, *issue).await?.is_some_and(|due| due <= now + LINGER) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// A domain's place among the limits, across issues. It never leaves the memory.
fn key(domain: &str) -> i64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    domain.hash(&mut hasher);
    hasher.finish().cast_signed()
}
