//! The time, in one place.
//!
//! Nothing in Friday asks the operating system what time it is but [`Clock::now`]. So a story can set the clock to a
//! Friday morning, or to the hour that daylight saving leaves out, and nothing in a test has to sleep. A moment is
//! stored as unix milliseconds: the one form that sorts and compares alike in SQLite and PostgreSQL.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type, serde::Serialize, serde::Deserialize)]
#[sqlx(transparent)]
#[serde(transparent)]
pub struct Moment(i64);

/// One week, the unit in which consent is remembered.
pub const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// One day.
pub const DAY: Duration = Duration::from_secs(24 * 3600);

impl Moment {
    /// From unix milliseconds.
    pub const fn from_millis(millis: i64) -> Moment {
        Moment(millis)
    }

    /// Unix milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Unix seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// The same point in time for calendar arithmetic. Moments outside of jiff's years (-9999 to 9999) are clamped.
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }

    /// The beginning of this moment's week (Monday, UTC): as much of a date as is kept about a reader.
    pub fn week(self) -> Moment {
        // 1970-01-01 was a Thursday, so weeks since then are three days out of step with Mondays.
        const LEN: i64 = WEEK.as_millis() as i64;
        const SHIFT: i64 = 3 * DAY.as_millis() as i64;
        Moment((self.0 + SHIFT).div_euclid(LEN) * LEN - SHIFT)
    }
}

impl From<jiff::Timestamp> for Moment {
    fn from(at: jiff::Timestamp) -> Moment {
        Moment(at.as_millisecond())
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, by: Duration) -> Moment {
        Moment(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Moment;
    fn sub(self, by: Duration) -> Moment {
        Moment(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// RFC 3339, UTC.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.to_jiff(), f)
    }
}

/// Where the time comes from: the system, or a test that sets it.
#[derive(Clone, Debug)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock(None)
    }

    /// A clock that stands at `at` until it is told otherwise.
    pub fn fixed(at: Moment) -> Clock {
        Clock(Some(Arc::new(AtomicI64::new(at.millis()))))
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "the one place that may ask the system")]
    pub fn now(&self) -> Moment {
        match &self.0 {
            Some(at) => Moment(at.load(Ordering::SeqCst)),
            None => jiff::Timestamp::now().into(),
        }
    }

    /// Moves a fixed clock on. A system clock is not moved.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Sets a fixed clock. A system clock is not moved.
    pub fn set(&self, to: Moment) {
        if let Some(at) = &self.0 {
            at.store(to.millis(), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_monday() {
        let monday: Moment = "2026-11-23T00:00:00Z".parse::<jiff::Timestamp>().unwrap().into();
        let sunday: Moment = "2026-11-29T23:59:59Z".parse::<jiff::Timestamp>().unwrap().into();
        assert_eq!(sunday.week(), monday);
        assert_eq!(monday.week(), monday);
        assert_eq!((monday - Duration::from_millis(1)).week(), monday - WEEK);
    }
}
