//! The words of Friday, one catalogue for each language.
//!
//! All text that a reader sees, on pages and in mails, comes from `src/words/LANGUAGE/*.ftl` (Fluent, so that "2 недели"
//! and "5 недель" are the translator's affair). The catalogues are part of the program. A test holds the languages to
//! the same keys, and the templates to keys that exist.

use crate::clock::Moment;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use std::fmt;
use std::sync::LazyLock;

/// A language that Friday speaks to readers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, sqlx::Type,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "TEXT", rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Russian.
    Ru,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 2] = [Language::En, Language::Ru];

    /// Its BCP 47 tag.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Ru => "ru",
        }
    }

    /// What it calls itself.
    pub fn own_name(self) -> &'static str {
        match self {
            Language::En => "English",
            Language::Ru => "Русский",
        }
    }

    /// Reads a tag such as `ru` or `ru-RU`.
    pub fn parse(tag: &str) -> Option<Language> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Language::ALL.into_iter().find(|l| l.as_str().eq_ignore_ascii_case(primary))
    }

    /// The best of ours for an `Accept-Language` header (RFC 9110, 12.5.4), where it names one at all.
    pub fn accepted(header: &str) -> Option<Language> {
        let weight = |part: &str| {
            part.split(';').find_map(|p| p.trim().strip_prefix("q=")).map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0))
        };
        header
            .split(',')
            .take(20)
            .filter_map(|part| Some((Language::parse(part.split(';').next()?.trim())?, weight(part))))
            .filter(|(_, weight)| *weight > 0.0)
            // The first of equals wins, so later ones must be strictly better.
            .fold(None, |best: Option<(Language, f32)>, next| match best {
                Some(b) if b.1 >= next.1 => Some(b),
                _ => Some(next),
            })
            .map(|(language, _)| language)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The catalogue of one language.
#[derive(Clone, Copy)]
pub struct Words {
    language: Language,
    bundle: &'static FluentBundle<FluentResource>,
}

const ENGLISH: &[&str] = &[
    include_str!("words/en/common.ftl"),
    include_str!("words/en/digest.ftl"),
    include_str!("words/en/subscribers.ftl"),
    include_str!("words/en/support.ftl"),
];
const RUSSIAN: &[&str] = &[
    include_str!("words/ru/common.ftl"),
    include_str!("words/ru/digest.ftl"),
    include_str!("words/ru/subscribers.ftl"),
    include_str!("words/ru/support.ftl"),
];

static EN: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle(Language::En, ENGLISH));
static RU: LazyLock<FluentBundle<FluentResource>> = LazyLock::new(|| bundle(Language::Ru, RUSSIAN));

fn bundle(language: Language, texts: &[&str]) -> FluentBundle<FluentResource> {
    // OK because "en" and "ru" are language tags.
    let mut bundle = FluentBundle::new_concurrent(vec![language.as_str().parse().expect("a tag")]);
    // Isolating marks (U+2068) are invisible on a page but land in subjects and plain text.
    bundle.set_use_isolating(false);
    for text in texts {
        // OK because the catalogues are part of the program, and a story loads them all.
        let resource = FluentResource::try_new((*text).to_owned()).map_err(|(_, e)| e).expect("a catalogue");
        bundle.add_resource(resource).expect("each key once"); // OK because of the same.
    }
    bundle
}

impl Words {
    /// The catalogue of `language`.
    pub fn of(language: Language) -> Words {
        let bundle = match language {
            Language::En => &*EN,
            Language::Ru => &*RU,
        };
        Words { language, bundle }
    }

    /// Its language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// Its language's tag, for a `lang` attribute.
    pub fn lang(&self) -> &'static str {
        self.language.as_str()
    }

    /// The text of `key`. An unknown key shows as itself, so that a page with a slip is a page still.
    pub fn say(&self, key: &str) -> String {
        self.format(key, None)
    }

    /// The text of `key` with its arguments: `say_with("digest-issues", &[("n", 5.into())])`.
    pub fn say_with(&self, key: &str, arguments: &[(&str, FluentValue<'_>)]) -> String {
        let arguments: FluentArgs<'_> = arguments.iter().map(|(name, value)| (*name, value.clone())).collect();
        self.format(key, Some(&arguments))
    }

    /// The text of `key` with one text argument, for templates.
    pub fn say1(&self, key: &str, name: &str, value: &str) -> String {
        self.say_with(key, &[(name, value.into())])
    }

    /// The text of `key` with one number, for templates.
    pub fn say_n(&self, key: &str, name: &str, value: i64) -> String {
        self.say_with(key, &[(name, value.into())])
    }

    /// The text of `key` with trusted HTML for its arguments: only for tags that a template writes itself.
    pub fn html(&self, key: &str, arguments: &[(&str, &str)]) -> String {
        let arguments: FluentArgs<'_> =
            arguments.iter().map(|(name, value)| (*name, FluentValue::from(*value))).collect();
        self.format(key, Some(&arguments))
    }

    /// Text with one link in it: the catalogue's `{ $open }` and `{ $close }` become the tags of a link to `href`,
    /// which is escaped. The result is HTML.
    pub fn link(&self, key: &str, href: &str) -> String {
        let href = href.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        self.html(key, &[("open", &format!("<a href=\"{href}\">")), ("close", "</a>")])
    }

    fn format(&self, key: &str, arguments: Option<&FluentArgs<'_>>) -> String {
        let Some(pattern) = self.bundle.get_message(key).and_then(|m| m.value()) else {
            tracing::error!(key, language = self.lang(), "a text is missing from the catalogue");
            return key.to_owned();
        };
        self.bundle.format_pattern(pattern, arguments, &mut Vec::new()).into_owned()
    }

    /// "Friday, 17 October 2025", or as the language has it, in the time zone.
    pub fn date(&self, at: Moment, zone: &jiff::tz::TimeZone) -> String {
        let date = at.to_jiff().to_zoned_datetime(zone.clone());
        let weekday = self.say(WEEKDAYS[date.weekday().to_monday_zero_offset() as usize]);
        let month = self.say(MONTHS[(date.month() - 1) as usize]);
        self.say_with(
            "date",
            &[
                ("weekday", weekday.into()),
                ("day", date.day().to_string().into()),
                ("month", month.into()),
                ("year", date.year().to_string().into()),
            ],
        )
    }

    /// A count with the language's thousands separator.
    pub fn number(&self, n: i64) -> String {
        let separator = match self.language {
            Language::En => ",",
            Language::Ru => "\u{a0}",
        };
        let minus = if n < 0 { "−" } else { "" };
        format!("{minus}{}", grouped(n.unsigned_abs(), separator))
    }

    /// Every key of the catalogue, for tests.
    pub fn keys(language: Language) -> Vec<String> {
        let texts = match language {
            Language::En => ENGLISH,
            Language::Ru => RUSSIAN,
        };
        texts
            .iter()
            .flat_map(|text| text.lines())
            .filter_map(|line| line.split_once(" ="))
            .map(|(key, _)| key)
            .filter(|key| key.starts_with(|c: char| c.is_ascii_lowercase()))
            .map(str::to_owned)
            .collect()
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({})", self.language)
    }
}

const WEEKDAYS: [&str; 7] = [
    "weekday-monday",
    "weekday-tuesday",
    "weekday-wednesday",
    "weekday-thursday",
    "weekday-friday",
    "weekday-saturday",
    "weekday-sunday",
];
const MONTHS: [&str; 12] = [
    "month-january",
    "month-february",
    "month-march",
    "month-april",
    "month-may",
    "month-june",
    "month-july",
    "month-august",
    "month-september",
    "month-october",
    "month-november",
    "month-december",
];

/// Digits in groups of three.
pub(crate) fn grouped(n: u64, separator: &str) -> String {
    let digits = n.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    groups.extend((first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    groups.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn both_languages_have_the_same_keys_once() {
        let keys = |language| {
            let all = Words::keys(language);
            let set: BTreeSet<String> = all.iter().cloned().collect();
            assert_eq!(all.len(), set.len(), "a key stands twice in {language}");
            set
        };
        let (en, ru) = (keys(Language::En), keys(Language::Ru));
        assert_eq!(en.difference(&ru).collect::<Vec<_>>(), Vec::<&String>::new(), "missing in Russian");
        assert_eq!(ru.difference(&en).collect::<Vec<_>>(), Vec::<&String>::new(), "missing in English");
        for language in Language::ALL {
            Words::of(language).say("date");
        }
    }

    #[test]
    fn a_browser_gets_the_language_it_asks_for_most() {
        assert_eq!(Language::accepted("ru-RU,ru;q=0.9,en;q=0.8"), Some(Language::Ru));
        assert_eq!(Language::accepted("de, en;q=0.5, ru;q=0.7"), Some(Language::Ru));
        assert_eq!(Language::accepted("en, ru"), Some(Language::En));
        assert_eq!(Language::accepted("ru;q=0, fr"), None);
    }

    #[test]
    fn dates_and_numbers_are_written_as_the_language_does() {
        let at = Moment::from("2025-10-17T06:00:00Z".parse::<jiff::Timestamp>().unwrap());
        let utc = jiff::tz::TimeZone::UTC;
        assert_eq!(Words::of(Language::En).date(at, &utc), "Friday, 17 October 2025");
        assert_eq!(Words::of(Language::Ru).date(at, &utc), "пятница, 17 октября 2025");
        assert_eq!(Words::of(Language::En).number(12408), "12,408");
        assert_eq!(Words::of(Language::Ru).number(-1_000_000), "−1\u{a0}000\u{a0}000");
    }
}
