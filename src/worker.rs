//! Background work: a name, a period, a wake-up and a function. It knows no room.
//!
//! A task takes no input: what there is to do stands in the database, so a run that fails or is killed is made good by
//! the next one. It runs when its period has passed or somebody rings its bell, and again at once as long as it finds
//! work. Whoever wants two machines to share the work leases rows; nothing here knows how many processes there are.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Whatever a step failed with. It is logged and tried again.
pub type StepError = Box<dyn std::error::Error + Send + Sync>;
type Step<S> = dyn Fn(S) -> Pin<Box<dyn Future<Output = Result<bool, StepError>> + Send>> + Send + Sync;

/// One kind of background work over a state `S`.
pub struct Task<S> {
    name: &'static str,
    period: Duration,
    step: Box<Step<S>>,
}

impl<S> Task<S> {
    /// `step` answers whether it found work; it must be safe to run again after any failure.
    pub fn new<F, E>(name: &'static str, period: Duration, step: impl Fn(S) -> F + Send + Sync + 'static) -> Task<S>
    where
        F: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<StepError>,
    {
        Task {
            name,
            period,
            step: Box::new(move |state| {
                let run = step(state);
                Box::pin(async move { run.await.map_err(Into::into) })
            }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs it once: whether it found work.
    pub async fn step(&self, state: S) -> Result<bool, StepError> {
        (self.step)(state).await
    }
}

/// The bells that wake tasks before their period is over.
#[derive(Debug, Default)]
pub struct Bells(Mutex<HashMap<&'static str, Arc<Notify>>>);

impl Bells {
    /// Wakes the task of that name, now or as soon as its current run is over.
    pub fn ring(&self, name: &'static str) {
        self.bell(name).notify_one();
    }

    fn bell(&self, name: &'static str) -> Arc<Notify> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().clone()
    }
}

/// A task ended that should have gone on.
#[derive(Debug, thiserror::Error)]
#[error("the background task {0} died")]
pub struct Died(String);

/// Runs all tasks until `stop`, then lets each finish the step it is in.
pub async fn run<S: Clone + Send + Sync + 'static>(
    tasks: Vec<Task<S>>,
    state: S,
    bells: &Bells,
    stop: CancellationToken,
) -> Result<(), Died> {
    let mut running = JoinSet::new();
    let mut names = HashMap::new();
    for task in tasks {
        let name = task.name;
        let handle = running.spawn(repeat(task, state.clone(), bells.bell(name), stop.clone()));
        names.insert(handle.id(), name);
    }
    let mut died = None;
    while let Some(ended) = running.join_next_with_id().await {
        if let Err(error) = ended {
            let name = names.get(&error.id()).copied().unwrap_or_default();
            tracing::error!(task = name, "a background task panicked; stopping");
            died.get_or_insert(Died(name.to_owned()));
            stop.cancel();
        }
    }
    died.map_or(Ok(()), Err)
}

async fn repeat<S: Clone>(task: Task<S>, state: S, bell: Arc<Notify>, stop: CancellationToken) {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        let pause = match task.step(state.clone()).await {
            Ok(true) => {
                failures = 0;
                continue;
            }
            Ok(false) => {
                failures = 0;
                task.period
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(task = task.name, %error, failures, "a background task failed and will run again");
                Duration::from_secs(1 << failures.min(6)).min(task.period.max(Duration::from_secs(1)))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // A bell does not ring a failing task out of its pause: it may be rung a thousand times a second.
            () = bell.notified(), if failures == 0 => {}
            () = stop.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_task_runs_while_there_is_work_and_when_its_bell_rings() {
        let bells = Arc::new(Bells::default());
        let stop = CancellationToken::new();
        let runs = Arc::new(AtomicU32::new(0));
        let (counted, end) = (runs.clone(), stop.clone());
        let task = Task::new("count", Duration::from_secs(3600), move |(): ()| {
            let n = counted.fetch_add(1, Ordering::SeqCst) + 1;
            if n == 5 {
                end.cancel();
            }
            async move { Ok::<bool, StepError>(n < 3) }
        });
        let ringer = bells.clone();
        let ring = tokio::spawn(async move {
            loop {
                ringer.ring("count");
                tokio::task::yield_now().await;
            }
        });
        run(vec![task], (), &bells, stop).await.unwrap();
        ring.abort();
        assert_eq!(runs.load(Ordering::SeqCst), 5);
    }

    #[tokio::test]
    async fn a_task_that_dies_is_told() {
        let stop = CancellationToken::new();
        let task = Task::new("broken", Duration::from_secs(1), |(): ()| async {
            if true {
                panic!("on purpose");
            }
            Ok::<bool, StepError>(false)
        });
        let died = run(vec![task], (), &Bells::default(), stop.clone()).await.unwrap_err();
        assert_eq!(died.to_string(), "the background task broken died");
        assert!(stop.is_cancelled());
    }
}
