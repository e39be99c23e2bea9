//! The log in words.

use jiff::tz::TimeZone;

use super::log::Entry;
use crate::clock::Moment;

/// A line of the log, as a page shows it.
#[derive(Debug)]
pub struct Line {
    /// For `datetime`.
    pub iso: String,
    /// `12:04`; on the desk with the day where that is not today.
    pub time: String,
    /// What was done, in a sentence.
    pub text: String,
}

/// The lines of one day.
#[derive(Debug)]
pub struct Day {
    /// `Friday, 17 October 2025`.
    pub date: String,
    /// The newest first.
    pub lines: Vec<Line>,
}

/// Lines for the desk: today's with the time, older ones with the day.
pub fn lines(entries: Vec<Entry>, zone: &TimeZone, now: Moment) -> Vec<Line> {
    let today = now.to_jiff().to_zoned_datetime(zone.clone()).date();
    let line = |entry: Entry| {
        let at = entry.at.to_jiff().to_zoned_datetime(zone.clone());
        let form = if at.date() == today { "%H:%M" } else { "%-d %b" };
        Line { iso: entry.at.to_string(), time: at.strftime(form).to_string(), text: sentence(&entry) }
    };
    entries.into_iter().map(line).collect()
}

/// Lines for the log's own page, day by day.
pub fn days(entries: Vec<Entry>, zone: &TimeZone) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for entry in entries {
        let at = entry.at.to_jiff().to_zoned_datetime(zone.clone());
        let date = at.strftime("%A, %-d %B %Y").to_string();
        let line = Line { iso: entry.at.to_string(), time: at.strftime("%H:%M").to_string(), text: sentence(&entry) };
        match days.last_mut() {
            Some(day) if day.date == date => day.lines.push(line),
            _ => days.push(Day { date, lines: vec![line] }),
        }
    }
    days
}

/// Who did what to what. An action without words of its own is shown as it is written, which is still to the point.
fn sentence(entry: &Entry) -> String {
    let Entry { who, action, object, .. } = entry;
    let text = match verb(action) {
        Some(verb) if verb.contains("{}") => format!("{who} {}", verb.replace("{}", object)),
        Some(verb) => format!("{who} {verb} {object}"),
        None => format!("{who}: {action} {object}"),
    };
    text.trim_end().to_owned()
}

fn verb(action: &str) -> Option<&'static str> {
    Some(match action {
        "staff.add" => "let in",
        "staff.sign-in" => "signed in",
        "staff.sign-out" => "signed out",
        "staff.sign-out-everywhere" => "signed out everywhere",
        "staff.factor-on" => "set up a second factor",
        "staff.factor-off" => "turned their second factor off",
        "staff.password" => "chose a new password",
        "staff.role" => "changed the role of",
        "staff.reset" => "made a new one-time link for",
        "staff.remove" => "removed",
        "feed.add" | "article.add" => "added",
        "feed.pause" => "paused",
        "feed.resume" => "went on reading",
        "feed.remove" => "removed",
        "feed.section" => "set the section of",
        "issue.new" => "began",
        "issue.save" => "saved",
        "issue.add" => "added to",
        "issue.discard" => "discarded",
        "issue.test" => "sent a test of",
        "issue.schedule" => "scheduled",
        "issue.send" => "sent off",
        "issue.start" => "began to send",
        "issue.pause" => "paused",
        "issue.resume" => "went on with",
        "issue.cancel" => "stopped",
        "issue.retry" => "tried the failed mails again of",
        "support.alarm" => "closed an alarm about giving:",
        "support.compare" => "compared with Stripe:",
        "support.export" => "downloaded the ledger of",
        "issue.hold" => "held {}, which had missed its time",
        _ => return None,
    })
}
