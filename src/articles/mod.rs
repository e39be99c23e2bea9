//! Feeds and the articles they bring: what the digest is chosen from.
//!
//! A feed is somebody else's file. It may be late, broken, enormous, hostile, in any charset, or a web page by mistake, so
//! four things are kept apart. [`fetch`] is the only place that asks an untrusted host for anything, and never asks one
//! inside the newsroom's own network. [`feed`] turns bytes into entries, on a thread of its own, so that no input takes the
//! process along. The rules in this file say what of that is new. [`store`] keeps it.
//!
//! An article is one address, whichever feed brought it, and it stays: a feed that goes away, is paused or breaks loses
//! nothing that is already here. What readers were sent is frozen by the digest, so an article may change afterwards.

mod charset;
pub mod cli;
pub mod desk;
pub mod feed;
pub mod fetch;
mod html;
mod page;
pub mod store;
pub mod task;

pub use desk::routes;
pub use feed::FeedError;
pub use html::Picture;
pub use task::{AddError, add_by_url};

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clock::Moment;

/// The sections of a digest, in the order of the mail.
pub const SECTIONS: [&str; 5] = ["News", "Features", "Analysis", "Opinion", "Photos"];

/// How often a feed that works is read.
pub const PERIOD: Duration = Duration::from_secs(15 * 60);

/// The longest a feed that fails is left alone.
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 3600);

/// A feed as staff see it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Feed {
    /// Its id
    pub id: i64,
    /// Where it is read
    pub url: String,
    /// What it calls itself, once read
    pub title: Option<String>,
    /// The section of its articles where it does not say
    pub section: String,
    /// Whether staff paused it
    pub paused: bool,
    /// When it was last read without an error
    pub read_at: Option<Moment>,
    /// When it is read next
    pub next_at: Moment,
    /// How often in a row it failed
    pub failures: i64,
    /// Since when it fails
    pub failing_since: Option<Moment>,
    /// What was wrong the last time, in a sentence
    pub problem: Option<String>,
    /// How many articles are here from it
    pub articles: i64,
}

impl Feed {
    /// The address without what every feed has, for a narrow table.
    pub fn short_url(&self) -> &str {
        self.url.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.")
    }
}

/// An article.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Article {
    /// Its id
    pub id: i64,
    /// The feed that brought it, or none: added by its address
    pub feed_id: Option<i64>,
    /// Its address, without tracking
    pub url: String,
    /// The headline, plain text
    pub title: String,
    /// Who wrote it, as printed
    pub author: Option<String>,
    /// One of [`SECTIONS`], or a newsroom's own
    pub section: String,
    /// When it was published
    pub published_at: Moment,
    /// A sentence or two, plain text; may be empty
    pub summary: String,
    /// The whole text, sanitised, without pictures, where the feed or page gave it
    pub body_html: Option<String>,
    /// The address of its picture. Never put into a mail: loading it would tell somebody who reads
    pub image_url: Option<String>,
    /// What is written under the picture
    pub image_caption: Option<String>,
    /// Its language (`en`), where the feed says
    pub language: Option<String>,
    /// When it came here
    pub fetched_at: Moment,
}

/// An article as a feed or a page tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The feed's own id for it
    pub guid: Option<String>,
    /// Its address, absolute and without tracking
    pub url: String,
    /// The headline, plain text
    pub title: String,
    /// Who wrote it
    pub author: Option<String>,
    /// The section its categories say
    pub section: Option<String>,
    /// When, if it says
    pub published_at: Option<Moment>,
    /// A sentence or two, plain text; may be empty
    pub summary: String,
    /// The whole text, sanitised
    pub body_html: Option<String>,
    /// Its picture
    pub picture: Option<Picture>,
    /// Its language
    pub language: Option<String>,
}

impl Entry {
    /// A hash of all that readers could see: whether an article changed is whether this did.
    pub fn fingerprint(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        let picture = self.picture.as_ref();
        let parts = [
            Some(self.url.as_str()),
            Some(self.title.as_str()),
            self.author.as_deref(),
            self.section.as_deref(),
            Some(self.summary.as_str()),
            self.body_html.as_deref(),
            picture.map(|p| p.url.as_str()),
            picture.map(|p| p.caption.as_str()),
            self.language.as_deref(),
        ];
        for part in parts {
            let part = part.unwrap_or_default();
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(self.published_at.map_or(0, Moment::millis).to_le_bytes());
        hash.finalize().to_vec()
    }
}

/// What is already here of an entry.
#[derive(Debug, sqlx::FromRow)]
pub struct Known {
    /// The article
    pub id: i64,
    /// The feed it belongs to
    pub feed_id: Option<i64>,
    /// Its address
    pub url: String,
    /// Its [`Entry::fingerprint`] when it was last written
    pub fingerprint: Vec<u8>,
}

/// What to do with an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was never here
    New,
    /// Its article says something else now
    Changed(i64),
    /// Nothing to do
    Same,
}

/// Whether an entry of `feed` is new. An article belongs to the feed that brought it first: two feeds that carry it (the
/// front page and its section) would otherwise change it back and forth at every reading. One that was added by its address
/// belongs to the first feed that has it.
pub fn judge(entry: &Entry, feed: Option<i64>, known: Option<&Known>) -> Verdict {
    match known {
        None => Verdict::New,
        Some(known) if known.feed_id.is_some() && known.feed_id != feed => Verdict::Same,
        Some(known) if known.feed_id == feed && known.fingerprint == entry.fingerprint() => Verdict::Same,
        Some(known) => Verdict::Changed(known.id),
    }
}

/// A date for an article: what it says, but not in the future (a wrong time zone would keep it on top for hours).
pub fn dated(said: Option<Moment>, now: Moment) -> Moment {
    said.map_or(now, |said| said.min(now))
}

/// The section that a category stands for, where it clearly names one.
pub fn section_of(category: &str) -> Option<&'static str> {
    let category = category.trim().trim_end_matches('/').to_lowercase();
    let last = category.rsplit(['/', ':', '|', '>']).next().unwrap_or_default().trim();
    Some(match last {
        "news" | "latest news" | "world news" | "новости" | "раздел новости" | "новость" => {
            "News"
        }
        "feature" | "features" | "longread" | "longreads" | "long read" | "reportage" | "репортаж" | "репортажи"
        | "истории" | "история" | "лонгрид" => "Features",
        "analysis" | "explainer" | "explainers" | "анализ" | "аналитика" | "разбор" | "разборы" => {
            "Analysis"
        }
        "opinion" | "opinions" | "op-ed" | "oped" | "comment" | "commentary" | "column" | "columns" | "editorial"
        | "мнение" | "мнения" | "колонка" | "колонки" => "Opinion",
        "photo"
        | "photos"
        | "photography"
        | "in pictures"
        | "in photos"
        | "gallery"
        | "photo gallery"
        | "photo essay"
        | "фото"
        | "фотографии"
        | "фоторепортаж"
        | "галерея" => "Photos",
        _ => return None,
    })
}

/// A section as staff or `newsroom.toml` write it: one of [`SECTIONS`] in its own spelling, or the newsroom's own word.
pub fn section_named(name: &str) -> String {
    let name = html::one_line(name);
    match SECTIONS.iter().find(|s| s.to_lowercase() == name.to_lowercase()) {
        Some(section) => (*section).to_owned(),
        None if name.is_empty() => SECTIONS[0].to_owned(),
        None => name.chars().take(60).collect(),
    }
}

/// How long to wait after a reading: the period when it went well, and twice as long for each failure in a row.
/// `chance` (any number) moves it by up to a tenth, so that feeds of one host are not all asked in the same second;
/// `asked` is what the host asked for with `Retry-After`, believed up to a day.
pub fn pause(failures: u32, asked: Option<Duration>, chance: i64) -> Duration {
    let doubled = PERIOD.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    let wait = doubled.max(asked.unwrap_or_default().min(2 * LONGEST_PAUSE));
    let tenth = wait.as_millis() as i64 / 10;
    wait + Duration::from_millis(chance.rem_euclid(tenth.max(1)).unsigned_abs())
}

/// The address by which an article is known: absolute, http or https, without tracking and fragment.
pub fn address(url: &str) -> Option<String> {
    html::web_address(url, None).map(|u| feed::canonical(u).into())
}

/// The address of a feed as it is kept: what it asks with (a key in its query) stays.
pub fn feed_address(url: &str) -> Option<String> {
    let mut url = html::web_address(url, None)?;
    url.set_fragment(None);
    Some(url.into())
}

/// The words by which an article is searched: lower case by Unicode's rules, which the two databases do not share.
pub fn search_text(title: &str, author: Option<&str>) -> String {
    format!("{title}\n{}", author.unwrap_or_default()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            guid: None,
            url: "https://a.example/1".into(),
            title: "One".into(),
            author: None,
            section: None,
            published_at: None,
            summary: String::new(),
            body_html: None,
            picture: None,
            language: None,
        }
    }

    #[test]
    fn an_article_belongs_to_the_feed_that_brought_it() {
        let entry = entry();
        let known = |feed_id, fingerprint| Known { id: 9, feed_id, url: entry.url.clone(), fingerprint };
        assert_eq!(judge(&entry, Some(1), None), Verdict::New);
        assert_eq!(judge(&entry, Some(1), Some(&known(Some(1), entry.fingerprint()))), Verdict::Same);
        assert_eq!(judge(&entry, Some(1), Some(&known(Some(1), vec![]))), Verdict::Changed(9));
        assert_eq!(judge(&entry, Some(1), Some(&known(Some(2), vec![]))), Verdict::Same);
        assert_eq!(judge(&entry, Some(1), Some(&known(None, entry.fingerprint()))), Verdict::Changed(9));
    }

    #[test]
    fn a_feed_that_fails_is_asked_less_and_less() {
        assert_eq!(pause(0, None, 0), PERIOD);
        assert_eq!(pause(2, None, 0), 4 * PERIOD);
        assert_eq!(pause(40, None, 0), LONGEST_PAUSE);
        assert_eq!(pause(1, Some(Duration::from_secs(7200)), 0), Duration::from_secs(7200));
        assert_eq!(pause(1, Some(Duration::from_secs(7_000_000)), 0), 2 * LONGEST_PAUSE);
        assert!(pause(0, None, i64::MIN) < PERIOD + PERIOD / 10);
    }

    #[test]
    fn a_category_names_a_section_only_when_it_is_clear() {
        assert_eq!(section_of(" Opinion "), Some("Opinion"));
        assert_eq!(section_of("Мнения"), Some("Opinion"));
        assert_eq!(section_of("Section/In Pictures"), Some("Photos"));
        assert_eq!(section_of("Oil"), None);
        assert_eq!(section_named("opinion"), "Opinion");
        assert_eq!(section_named("Business"), "Business");
        assert_eq!(section_named(" "), "News");
    }

    #[test]
    fn an_article_from_the_future_is_from_now() {
        let now = Moment::from_millis(1_000);
        assert_eq!(dated(Some(Moment::from_millis(5_000)), now), now);
        assert_eq!(dated(Some(Moment::from_millis(5)), now), Moment::from_millis(5));
        assert_eq!(dated(None, now), now);
    }
}
