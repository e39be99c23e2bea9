//! How often something may be asked for: buckets that fill up again, in memory.
//!
//! What is counted is a network prefix or a keyed mark, never an address in clear, and it is gone with the process.

use super::Problem;
use crate::clock::{Clock, Moment};
use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So many at once, and the same number again in each `per`.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Names the buckets: the same key under two names is counted apart.
    pub name: &'static str,
    /// How many.
    pub burst: u32,
    /// In how long.
    pub per: Duration,
}

/// All buckets of this process.
#[derive(Debug)]
pub struct Limits {
    clock: Clock,
    buckets: Mutex<HashMap<&'static str, Arc<Buckets>>>,
}

type Buckets = RateLimiter<String, DashMapStateStore<String>, Ticks, NoOpMiddleware<Tick>>;

impl Limits {
    /// Empty buckets that fill up by this clock.
    pub fn new(clock: Clock) -> Limits {
        Limits { clock, buckets: Mutex::default() }
    }

    /// Takes one from the bucket of `key`; [`Problem::TooMany`] when it is empty.
    pub fn check(&self, rule: &Rule, key: &str) -> Result<(), Problem> {
        self.buckets(rule).check_key(&key.to_owned()).map_err(|_| Problem::TooMany)
    }

    /// Forgets full buckets. Called now and then.
    pub fn tidy(&self) {
        let all: Vec<Arc<Buckets>> = self.lock().values().cloned().collect();
        all.iter().for_each(|buckets| buckets.retain_recent());
    }

    fn buckets(&self, rule: &Rule) -> Arc<Buckets> {
        let make = || {
            let burst = NonZeroU32::new(rule.burst).unwrap_or(NonZeroU32::MIN);
            let each = (rule.per / burst.get()).max(Duration::from_nanos(1));
            // OK because the period was just held above zero.
            let quota = Quota::with_period(each).expect("a period").allow_burst(burst);
            Arc::new(RateLimiter::new(quota, DashMapStateStore::default(), Ticks(self.clock.clone())))
        };
        self.lock().entry(rule.name).or_insert_with(make).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Arc<Buckets>>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Friday's clock as governor wants one.
#[derive(Debug, Clone)]
struct Ticks(Clock);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

impl GovernorClock for Ticks {
    type Instant = Tick;
    fn now(&self) -> Tick {
        let now: Moment = self.0.now();
        Tick(u64::try_from(now.millis()).unwrap_or(0).saturating_mul(1_000_000))
    }
}

impl Add<Nanos> for Tick {
    type Output = Tick;
    fn add(self, by: Nanos) -> Tick {
        Tick(self.0.saturating_add(by.as_u64()))
    }
}

impl Reference for Tick {
    fn duration_since(&self, earlier: Tick) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }
    fn saturating_sub(&self, by: Nanos) -> Tick {
        Tick(self.0.saturating_sub(by.as_u64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let clock = Clock::fixed(Moment::from_millis(1_000_000));
        let limits = Limits::new(clock.clone());
        let rule = Rule { name: "x", burst: 3, per: Duration::from_secs(60) };
        let taken = |key: &str| limits.check(&rule, key).is_ok();
        assert!(taken("a") && taken("a") && taken("a") && !taken("a"));
        assert!(taken("b"), "another key has a bucket of its own");
        clock.advance(Duration::from_secs(21));
        assert!(taken("a") && !taken("a"));
    }
}
