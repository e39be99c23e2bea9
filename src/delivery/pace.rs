//! How fast messages may go: a limit for all of them, kept exactly, and one for each receiving domain.
//!
//! Both give out slots. Who wants to send is given the next free slot and waits for it; a wait that ends a little late
//! costs nothing, since the slot after it stands where it stood. (A limiter that says "now" or "not yet" loses the
//! lateness of every timer: at 200 a second, with timers a millisecond late, it lets 167 through.)

use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a slot may go unused and still be given out afterwards. More would be a burst after a stall.
const SLACK: Duration = Duration::from_millis(100);

/// One limit.
#[derive(Debug)]
pub struct Pace {
    gap: Duration,
    next: Instant,
}

impl Pace {
    /// A limit of `rate` messages a second from `now` on; none for a rate of zero.
    pub fn new(rate: f64, now: Instant) -> Option<Pace> {
        (rate > 0.0).then(|| Pace { gap: gap(rate), next: now })
    }

    /// Changes the limit for the slots to come.
    pub fn set(&mut self, rate: f64) {
        self.gap = gap(rate);
    }

    /// The next slot. Each is given out once.
    pub fn slot(&mut self, now: Instant) -> Instant {
        let slot = now.checked_sub(SLACK).map_or(self.next, |oldest| self.next.max(oldest));
        self.next = slot + self.gap;
        slot
    }
}

fn gap(rate: f64) -> Duration {
    Duration::from_secs_f64((1.0 / rate).min(3600.0))
}

/// What to do with a message for a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Send it at this time, which is soon.
    At(Instant),
    /// Put it back for so long: keeping it would fill the memory with one domain's readers.
    Later(Duration),
}

/// The limit of each domain, as many domains as there are.
#[derive(Debug)]
pub struct DomainPace {
    gap: Duration,
    horizon: Duration,
    domains: HashMap<i64, Slots>,
}

#[derive(Debug)]
struct Slots {
    next: Instant,
    /// The next slot beyond the horizon: those put back are spread over the time to come, each with a time of its own.
    far: Instant,
}

impl DomainPace {
    /// A limit of `rate` messages a second for each domain, looking `horizon` ahead; none for a rate of zero.
    pub fn new(rate: f64, horizon: Duration) -> Option<DomainPace> {
        (rate > 0.0).then(|| DomainPace { gap: gap(rate), horizon, domains: HashMap::new() })
    }

    /// Changes the limit for the slots to come.
    pub fn set(&mut self, rate: f64) {
        self.gap = gap(rate);
    }

    /// When the next message for a domain may go.
    pub fn turn(&mut self, domain: i64, now: Instant) -> Turn {
        // Domains not written to for a while hold no slot: forgetting them changes nothing and keeps the memory flat.
        if self.domains.len() >= 10_000 && !self.domains.contains_key(&domain) {
            self.domains.retain(|_, slots| slots.far > now);
        }
        let slots = self.domains.entry(domain).or_insert(Slots { next: now, far: now });
        let slot = slots.next.max(now);
        if slot <= now + self.horizon {
            slots.next = slot + self.gap;
            slots.far = slots.far.max(slots.next);
            return Turn::At(slot);
        }
        slots.far += self.gap;
        Turn::Later(slots.far - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_exact_although_every_wait_ends_late() {
        let begin = Instant::now();
        let mut pace = Pace::new(200.0, begin).unwrap();
        let mut now = begin;
        let mut sent = 0;
        loop {
            now = now.max(pace.slot(now)) + Duration::from_micros(1_300);
            if now >= begin + Duration::from_secs(60) {
                break;
            }
            sent += 1;
        }
        assert!((11_760..=12_240).contains(&sent), "{sent} in a minute at 200 a second");
    }

    #[test]
    fn a_stall_is_not_made_up_for_by_a_burst() {
        let begin = Instant::now();
        let mut pace = Pace::new(10.0, begin).unwrap();
        assert_eq!(pace.slot(begin), begin);
        let later = begin + Duration::from_secs(10);
        let at_once = (0..10).filter(|_| pace.slot(later) <= later).count();
        assert_eq!(at_once, 2);
    }

    #[test]
    fn one_slow_domain_holds_up_no_other_and_fills_no_memory() {
        let now = Instant::now();
        let mut pace = DomainPace::new(20.0, Duration::from_secs(5)).unwrap();
        let turns: Vec<Turn> = (0..1_000).map(|_| pace.turn(1, now)).collect();
        let soon = turns.iter().filter(|t| matches!(t, Turn::At(_))).count();
        assert_eq!(soon, 101, "five seconds at 20 a second, and the one at once");
        // Those put back have times of their own, 20 in each second.
        let within = |s| turns.iter().filter(|t| matches!(t, Turn::Later(d) if *d <= Duration::from_secs(s))).count();
        assert_eq!(within(11) - within(10), 20);
        assert_eq!(pace.turn(2, now), Turn::At(now));
    }

    #[test]
    fn domains_of_the_past_are_forgotten() {
        let begin = Instant::now();
        let mut pace = DomainPace::new(20.0, Duration::from_secs(5)).unwrap();
        for domain in 0..50_000 {
            pace.turn(domain, begin + Duration::from_millis(domain.unsigned_abs()));
        }
        assert!(pace.domains.len() <= 10_000);
    }
}
