//! When a newsletter comes, in words.

use crate::clock::Moment;
use crate::newsroom::Newsletter;
use crate::words::Words;

/// The day of the week, Monday being 0; 7 when the schedule names none.
pub fn day(newsletter: &Newsletter) -> i32 {
    newsletter.goes_out().map_or(7, |(day, _)| i32::from(day.to_monday_zero_offset()))
}

/// "Every Friday".
pub fn every(words: &Words, newsletter: &Newsletter) -> String {
    words.say_n("digest-every", "day", i64::from(day(newsletter)) + 1)
}

/// The time of the day in one of two texts, each of which is given `every`, `time`, `place` and `zone`: the first for UTC,
/// which is no place.
pub fn at(words: &Words, newsletter: &Newsletter, (in_utc, in_place): (&str, &str)) -> String {
    let time = newsletter.goes_out().map(|(_, time)| time.strftime("%H:%M").to_string()).unwrap_or_default();
    let zone = newsletter.time_zone.as_str();
    let place = zone.rsplit('/').next().unwrap_or_default().replace('_', " ");
    words.say_with(
        if zone == "UTC" { in_utc } else { in_place },
        &[
            ("every", every(words, newsletter).into()),
            ("time", time.into()),
            ("place", place.into()),
            ("zone", zone.into()),
        ],
    )
}

/// "No issue yet. The first one comes on …".
pub fn none_yet(words: &Words, newsletter: &Newsletter, now: Moment) -> String {
    let zone = newsletter.zone();
    let next = newsletter.goes_out().and_then(|(weekday, time)| {
        let today = now.to_jiff().to_zoned_datetime(zone.clone()).datetime();
        let away = i64::from(today.date().weekday().until(weekday));
        let away = if away == 0 && today.time() >= time { 7 } else { away };
        let date = today.date().checked_add(jiff::Span::new().days(away)).ok()?;
        let noon = date.at(12, 0, 0, 0).to_zoned_datetime(zone.clone()).ok()?;
        Some(Moment::from(noon.timestamp()))
    });
    match next {
        Some(at) => words.say1("digest-none-yet", "date", &words.date(at, &zone)),
        None => words.say("digest-none-yet-short"),
    }
}
