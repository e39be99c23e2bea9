//! This week, as the desk shows it: its days, today, the day the newsletter goes out, and the time left.

use jiff::civil::Weekday;
use jiff::{ToSpan, tz::TimeZone};

use crate::clock::Moment;

/// A day of the strip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// M, T, W, T, F, S, S.
    pub letter: &'static str,
    /// Whether it is today.
    pub today: bool,
    /// Whether the newsletter goes out on it.
    pub sending: bool,
}

/// This week, and when the newsletter goes out next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Week {
    /// Monday to Sunday.
    pub days: Vec<Day>,
    /// The sending, for the script that keeps the time left right (RFC 3339).
    pub until: String,
    /// The time left in ISO 8601, for `datetime`.
    pub duration: String,
    /// The time left in words, as the script writes it.
    pub left: String,
    /// The sending in words: `Friday 08:00, Amsterdam`.
    pub when: String,
}

/// When a newsletter that goes out at this day and time goes out next: strictly after `now`, right across
/// daylight-saving changes (a time that does not exist is taken an hour later, as clocks do).
pub fn next(now: Moment, zone: &TimeZone, (weekday, time): (Weekday, jiff::civil::Time)) -> Moment {
    let today = now.to_jiff().to_zoned_datetime(zone.clone()).date();
    let away = i64::from(today.weekday().until(weekday));
    let at = |days: i64| {
        let date = today.saturating_add(days.days());
        date.to_datetime(time).to_zoned_datetime(zone.clone()).map(|at| Moment::from(at.timestamp())).unwrap_or(now)
    };
    let first = at(away);
    if first > now { first } else { at(away + 7) }
}

/// The week around `now` for a sending at `at`.
pub fn week(now: Moment, at: Moment, zone: &TimeZone) -> Week {
    let today = now.to_jiff().to_zoned_datetime(zone.clone()).weekday();
    let sending = at.to_jiff().to_zoned_datetime(zone.clone());
    let day = |(offset, letter): (i8, &'static str)| {
        let is = |day: Weekday| day.to_monday_zero_offset() == offset;
        Day { letter, today: is(today), sending: is(sending.weekday()) }
    };
    let minutes = at.since(now).as_secs().div_ceil(60);
    Week {
        days: (0..).zip(["M", "T", "W", "T", "F", "S", "S"]).map(day).collect(),
        until: sending.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        duration: format!("PT{}H{}M", minutes / 60, minutes % 60),
        left: left(minutes),
        when: format!("{}, {}", sending.strftime("%A %H:%M"), place(zone)),
    }
}

/// As `clock.js` writes it.
fn left(minutes: u64) -> String {
    if minutes >= 2880 {
        format!("{} days {} h", minutes / 1440, minutes / 60 % 24)
    } else {
        format!("{} h {} min", minutes / 60, minutes % 60)
    }
}

/// The city of a time zone, which says more than its name.
pub fn place(zone: &TimeZone) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    name.rsplit('/').next().unwrap_or(name).replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Moment {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    #[test]
    fn friday_morning_is_friday_morning_in_winter_and_in_summer() {
        let zone = TimeZone::get("Europe/Amsterdam").unwrap();
        let goes_out = (Weekday::Friday, jiff::civil::time(8, 0, 0, 0));
        for (now, expected) in [
            ("2026-11-24T10:00:00Z", "2026-11-27T07:00:00Z"),
            ("2026-11-27T06:59:00Z", "2026-11-27T07:00:00Z"),
            ("2026-11-27T07:00:00Z", "2026-12-04T07:00:00Z"),
            ("2026-10-23T12:00:00Z", "2026-10-30T07:00:00Z"),
            ("2026-03-27T12:00:00Z", "2026-04-03T06:00:00Z"),
        ] {
            assert_eq!(next(at(now), &zone, goes_out), at(expected), "{now}");
        }
    }

    #[test]
    fn the_desk_counts_the_time_left_as_its_script_does() {
        let zone = TimeZone::get("Europe/Amsterdam").unwrap();
        let week = week(at("2026-11-26T11:18:00Z"), at("2026-11-27T07:00:00Z"), &zone);
        assert_eq!(week.left, "19 h 42 min");
        assert_eq!(week.when, "Friday 08:00, Amsterdam");
        assert_eq!(week.until, "2026-11-27T08:00:00+01:00");
        assert!(week.days[3].today && week.days[4].sending);
        assert_eq!(left(5520), "3 days 20 h");
    }
}
