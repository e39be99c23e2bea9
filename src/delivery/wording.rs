//! Numbers, shares and times as staff read them, on pages and in mails.

use crate::clock::Moment;
use crate::words::{Language, Words};
use jiff::tz::TimeZone;
use std::time::Duration;

/// A number with separators.
pub fn number(n: i64) -> String {
    Words::of(Language::En).number(n)
}

/// "1 reader", "12,408 readers".
pub fn readers(n: i64) -> String {
    if n == 1 { "1 reader".to_owned() } else { format!("{} readers", number(n)) }
}

/// A share in tenths of a percent; of nothing, all.
pub fn percent(part: i64, whole: i64) -> String {
    match (part * 1000).checked_div(whole) {
        None | Some(1000) => "100 %".to_owned(),
        Some(tenths) => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// A moment as a clock on the newsroom's wall shows it.
pub fn wall(at: Moment, zone: &TimeZone) -> String {
    at.to_jiff().to_zoned_datetime(zone.clone()).strftime("%A, %-d %B %Y, %H:%M").to_string()
}

/// "08:01:12" today, "Thu 12:20" within the week, the date before that.
pub fn clock(at: Moment, zone: &TimeZone, now: Moment) -> String {
    let (then, today) = (at.to_jiff().to_zoned_datetime(zone.clone()), now.to_jiff().to_zoned_datetime(zone.clone()));
    let days = (now.millis() - at.millis()).abs() / 86_400_000;
    let format = match days {
        _ if then.date() == today.date() => "%H:%M:%S",
        0..=5 => "%a %H:%M",
        _ => "%-d %b %Y, %H:%M",
    };
    then.strftime(format).to_string()
}

/// "5 min 2 s".
pub fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, 0) => "less than a second".to_owned(),
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, 0) => format!("{m} min"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, ..) => format!("{d} d {h} h"),
    }
}

/// A sentence that begins as one.
pub fn capital(mut text: String) -> String {
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_read_well() {
        assert_eq!(lasting(Duration::from_millis(302_400)), "5 min 2 s");
        assert_eq!(lasting(Duration::from_millis(400)), "less than a second");
        assert_eq!(lasting(Duration::from_secs(59)), "59 s");
        assert_eq!(lasting(Duration::from_secs(60)), "1 min");
        assert_eq!(lasting(Duration::from_secs(90_000)), "1 d 1 h");
        assert_eq!(percent(7_912, 7_949), "99.5 %");
        assert_eq!(percent(0, 0), "100 %");
        assert_eq!((readers(1), readers(12_408)), ("1 reader".to_owned(), "12,408 readers".to_owned()));
        assert_eq!(capital("нет".to_owned()), "нет");
    }
}
