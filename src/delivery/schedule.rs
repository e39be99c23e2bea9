//! When an issue goes out: a newsletter's own schedule ("Fri 08:00" in its time zone), and the times that staff type.
//!
//! A time on the wall is kept as one, and becomes a moment only when it is needed: so Friday 08:00 is 08:00 on the
//! Friday after the clocks have changed as well. An hour that a change leaves out is taken an hour later, an hour that
//! comes twice is taken the first time (RFC 5545, 3.3.5).

use crate::clock::{Moment, WEEK};
use crate::newsroom::Newsletter;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use std::time::Duration;

/// An issue whose time passed longer ago than this, while nobody was there to send it, is held: a digest for Friday
/// morning must not surprise its readers on a Saturday.
pub const LATE: Duration = Duration::from_secs(2 * 3600);

/// Why a time is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhenError {
    /// Not a time.
    #[error("\"{0}\" is not a time: write next, 2026-11-27T08:00 or 2026-11-27T08:00:00+01:00")]
    Time(String),
    /// `next` for a newsletter that has no schedule.
    #[error("this newsletter has no schedule of its own: write a time, as in 2026-11-27T08:00")]
    NoSchedule,
    /// In the past.
    #[error("{0} is in the past")]
    Past(String),
}

/// The first such time of the week after `now`, in a time zone.
pub fn next_after((day, time): (Weekday, Time), zone: &TimeZone, now: Moment) -> Moment {
    let today = now.to_jiff().to_zoned_datetime(zone.clone()).date();
    (0..=8)
        .filter_map(|ahead| today.checked_add(jiff::Span::new().days(ahead)).ok())
        .filter(|date| date.weekday() == day)
        .filter_map(|date| date.to_datetime(time).to_zoned_datetime(zone.clone()).ok())
        .map(|at| Moment::from(at.timestamp()))
        .find(|at| *at > now)
        // Nine days in a row have every weekday twice or once still to come; only jiff's last week has none.
        .unwrap_or(now + WEEK)
}

/// When a newsletter goes out next by its own schedule.
pub fn next(newsletter: &Newsletter, now: Moment) -> Option<Moment> {
    Some(next_after(newsletter.goes_out()?, &newsletter.zone(), now))
}

/// Reads a time that staff gave: `next` (the newsletter's own schedule), a time on the newsletter's wall, or one with
/// its offset (RFC 3339). It must be after `now`.
pub fn when(text: &str, newsletter: &Newsletter, now: Moment) -> Result<Moment, WhenError> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("next") {
        return next(newsletter, now).ok_or(WhenError::NoSchedule);
    }
    let wrong = || WhenError::Time(text.to_owned());
    let at: Moment = match text.parse::<jiff::Timestamp>() {
        Ok(at) => at.into(),
        // A bare date would be midnight, which nobody means.
        Err(_) if text.len() <= 10 => return Err(wrong()),
        Err(_) => {
            let wall = text.parse::<jiff::civil::DateTime>().map_err(|_| wrong())?;
            wall.to_zoned_datetime(newsletter.zone()).map_err(|_| wrong())?.timestamp().into()
        }
    };
    if at > now { Ok(at) } else { Err(WhenError::Past(text.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn newsletter(schedule: &str, zone: &str) -> Newsletter {
        let mut newsletter = crate::newsroom::Newsroom::default().newsletters.remove(0);
        newsletter.schedule = schedule.to_owned();
        newsletter.time_zone = zone.to_owned();
        newsletter
    }

    fn next(schedule: &str, zone: &str, now: &str) -> String {
        super::next(&newsletter(schedule, zone), at(now)).unwrap().to_string()
    }

    #[test]
    fn friday_at_eight_stays_at_eight_when_the_clocks_change() {
        let fri = |now| next("Fri 08:00", "Europe/Amsterdam", now);
        assert_eq!(fri("2026-10-20T00:00:00Z"), "2026-10-23T06:00:00Z", "summer time");
        assert_eq!(fri("2026-10-23T05:59:59Z"), "2026-10-23T06:00:00Z", "a second before");
        assert_eq!(fri("2026-10-23T06:00:00Z"), "2026-10-30T07:00:00Z", "winter time, a week later");
        assert_eq!(next("Fri 08:00", "America/New_York", "2026-03-06T13:00:00Z"), "2026-03-13T12:00:00Z");
        assert_eq!(
            next("Fri 09:00", "Europe/Moscow", "2026-10-23T06:00:00Z"),
            "2026-10-30T06:00:00Z",
            "no change there"
        );
    }

    #[test]
    fn an_hour_that_is_left_out_or_comes_twice_is_taken_once() {
        let sun = |now| next("Sun 02:30", "Europe/Amsterdam", now);
        assert_eq!(sun("2026-03-28T12:00:00Z"), "2026-03-29T01:30:00Z", "03:30, for 02:30 is left out");
        assert_eq!(sun("2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z", "the first of two");
        assert_eq!(sun("2026-10-25T00:30:00Z"), "2026-11-01T01:30:00Z", "and not the second");
    }

    #[test]
    fn the_week_begins_where_the_newsroom_is() {
        // Thursday evening in London is Friday in Auckland.
        assert_eq!(next("Fri 08:00", "Pacific/Auckland", "2026-11-26T18:00:00Z"), "2026-11-26T19:00:00Z");
    }

    #[test]
    fn a_time_is_next_or_on_the_wall_or_with_its_offset() {
        let newsletter = newsletter("Fri 08:00", "Europe/Amsterdam");
        let when = |text| when(text, &newsletter, at("2026-11-24T12:00:00Z"));
        let friday = Ok(at("2026-11-27T07:00:00Z"));
        for text in
            ["next", "2026-11-27T08:00", "2026-11-27 08:00", "2026-11-27T08:00:00+01:00", "2026-11-27T07:00:00Z"]
        {
            assert_eq!(when(text), friday, "{text}");
        }
        for text in ["", "tomorrow", "2026-11-27", "2026-02-30T08:00"] {
            assert_eq!(when(text), Err(WhenError::Time(text.to_owned())), "{text}");
        }
        assert_eq!(when("2026-11-24T12:59"), Err(WhenError::Past("2026-11-24T12:59".into())));
    }
}
