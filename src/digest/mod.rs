//! What is sent: the issues of a newsletter, from the first draft to the archive.
//!
//! An issue is a choice of articles in an order, with an introduction and a subject. While it is a draft (or scheduled),
//! staff change it as they like, and every preview is rendered anew. At the **freeze** it gets its number, each edition is
//! rendered once and stored with a hash, and from then on nothing about it changes: not when an article is corrected, not
//! when the newsroom's colour does. `delivery` sends what was frozen, byte for byte, and only fills in two links that are
//! each reader's own, where [`UNSUBSCRIBE_MARK`] and [`PREFERENCES_MARK`] stand.
//!
//! What goes out knows nobody: links to articles are the articles' own addresses, there is no picture to fetch, no pixel,
//! no script and no font. A text from a feed that contains one of the marks has it taken apart, so that no feed can have a
//! reader's own link put where it wants (see `render`).

pub mod body;
pub mod calendar;
pub mod cli;
pub mod colour;
pub mod composer;
pub mod desk;
pub mod feed;
pub mod links;
pub mod mail;
pub mod markup;
pub mod proof;
pub mod render;
pub mod store;
pub mod text;
pub mod web;

// The sections that stand first, in this order; others follow in the order in which they first occur.
pub use crate::articles::SECTIONS;

use crate::articles;
use crate::clock::Moment;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Stands in a frozen mail where the reader's own unsubscribe link belongs. No character of it is escaped in HTML.
pub const UNSUBSCRIBE_MARK: &str = "FRIDAY-UNSUBSCRIBE-LINK";

/// Stands in a frozen mail where the reader's own preferences link belongs.
pub const PREFERENCES_MARK: &str = "FRIDAY-PREFERENCES-LINK";

/// From this size on a mail gets a warning: Gmail cuts off at about 102 kB.
pub const WARN_BYTES: usize = 90_000;

/// From this size on Gmail cuts a mail off, and with its end the link to leave.
pub const CLIPPED_BYTES: usize = 102_000;

/// A place for the support ask that is after every section, however many there come to be.
pub const ASK_LAST: i64 = 99;

/// Where an issue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Being put together.
    Draft,
    /// Will be frozen and sent at its time; may still be changed.
    Scheduled,
    /// Its time passed while the service was down: somebody has to decide.
    Held,
    /// Frozen, going out.
    Sending,
    /// Frozen, stopped for now.
    Paused,
    /// Gone out.
    Sent,
    /// Will not go out, or not on.
    Cancelled,
}

impl State {
    /// All of them, in the order of an issue's life.
    pub const ALL: [State; 7] =
        [State::Draft, State::Scheduled, State::Held, State::Sending, State::Paused, State::Sent, State::Cancelled];

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Draft => "draft",
            State::Scheduled => "scheduled",
            State::Held => "held",
            State::Sending => "sending",
            State::Paused => "paused",
            State::Sent => "sent",
            State::Cancelled => "cancelled",
        }
    }

    /// From the stored form.
    pub fn parse(stored: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == stored)
    }

    /// Whether staff may still change what is in it.
    pub fn is_open(self) -> bool {
        matches!(self, State::Draft | State::Scheduled | State::Held)
    }

    /// Whether readers may see it in the archive. The link in the mail has to work from the first mail on.
    pub fn is_public(self) -> bool {
        matches!(self, State::Sending | State::Paused | State::Sent)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An issue of a newsletter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// A small number, for staff and scripts.
    pub id: i64,
    /// The newsletter's slug.
    pub newsletter: String,
    /// "No. 42": given at the freeze.
    pub number: Option<i64>,
    /// Where it stands.
    pub state: State,
    /// As typed; may be empty, see [`subject`].
    pub subject: String,
    /// The line that mail programs show after the subject; may be empty.
    pub preheader: String,
    /// Markdown.
    pub introduction: String,
    /// After how many sections the support ask stands; `None`: not in this issue.
    pub ask_after: Option<i64>,
    /// When it is to go out.
    pub scheduled_at: Option<Moment>,
    /// When its content was fixed.
    pub frozen_at: Option<Moment>,
    /// When the last mail was out, or it was cancelled.
    pub finished_at: Option<Moment>,
    /// When a test was last asked for.
    pub tested_at: Option<Moment>,
    /// Rises with every change; see [`store::save`].
    pub changed_at: Moment,
}

/// An article's place in an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The article.
    pub article_id: i64,
    /// One of [`SECTIONS`], or the newsroom's own.
    pub section: String,
    /// The issue's own headline.
    pub headline: Option<String>,
    /// The issue's own blurb.
    pub blurb: Option<String>,
    /// The article, as it is now.
    pub piece: Piece,
}

/// What an issue needs of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Its address.
    pub url: String,
    /// Its headline.
    pub title: String,
    /// Who wrote it; empty where the feed does not say.
    pub author: String,
    /// When it was published.
    pub published_at: Moment,
    /// Its summary as text; may be empty.
    pub summary: String,
    /// Its full text as sanitised HTML; may be empty.
    pub body_html: String,
    /// Its language's tag; empty where unknown.
    pub language: String,
}

impl Entry {
    /// The headline readers see.
    pub fn headline(&self) -> &str {
        own(&self.headline).unwrap_or(&self.piece.title)
    }

    /// The blurb readers see: the issue's own, else the article's summary, else how the article begins.
    pub fn blurb(&self) -> String {
        if let Some(own) = own(&self.blurb) {
            return squeezed(own);
        }
        let summary = squeezed(&self.piece.summary);
        if !summary.is_empty() {
            return shortened(&summary, 400);
        }
        let opening = body::opening(&body::from_html(&self.piece.body_html, &self.piece.url));
        opening.map(|text| shortened(&text, 300)).unwrap_or_default()
    }
}

fn own(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// The subject a mail gets: the typed one, else the first headline, else the newsletter's name.
pub fn subject(issue: &Issue, entries: &[Entry], newsletter: &str) -> String {
    let typed = squeezed(&issue.subject);
    if !typed.is_empty() {
        return typed;
    }
    arranged(entries.to_vec()).first().map_or(newsletter.to_owned(), |entry| squeezed(entry.headline()))
}

/// The preheader a mail gets: the typed one, else the headlines after the first.
pub fn preheader(issue: &Issue, entries: &[Entry]) -> String {
    let typed = squeezed(&issue.preheader);
    if !typed.is_empty() {
        return typed;
    }
    let entries = arranged(entries.to_vec());
    let skip = usize::from(squeezed(&issue.subject).is_empty());
    let mut line = String::new();
    for headline in entries.iter().skip(skip).map(|entry| squeezed(entry.headline())) {
        if line.is_empty() {
            line = shortened(&headline, 140);
        } else if line.chars().count() + headline.chars().count() <= 140 {
            line = format!("{line} · {headline}");
        } else {
            break;
        }
    }
    line
}

/// Text on one line: control characters and runs of white space become one space each.
pub fn squeezed(text: &str) -> String {
    text.split(|c: char| c.is_control() || (c.is_whitespace() && c != '\u{a0}' && c != '\u{202f}'))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// At most `most` characters, cut at the end of a sentence or else of a word.
fn shortened(text: &str, most: usize) -> String {
    let Some((cut, _)) = text.char_indices().nth(most) else { return text.to_owned() };
    let head = &text[..cut];
    if let Some(end) = head.rfind(['.', '!', '?']).filter(|end| *end > cut / 2) {
        return head[..=end].to_owned();
    }
    let end = head.rfind(' ').unwrap_or(cut);
    format!("{}…", head[..end].trim_end_matches([',', ';', ':', ' ']))
}

/// The house's name for a section: "новости" and "news " are both "News". Others stay as they are written.
pub fn section_name(written: &str) -> String {
    articles::section_of(written).map_or_else(|| articles::section_named(written), str::to_owned)
}

/// Entries in the order of the mail: by section, and within one as they were put.
pub fn arranged(mut entries: Vec<Entry>) -> Vec<Entry> {
    let mut names: Vec<String> = SECTIONS.iter().map(|name| (*name).to_owned()).collect();
    for entry in &entries {
        if !names.contains(&entry.section) {
            names.push(entry.section.clone());
        }
    }
    // A stable sort: what was before stays before.
    entries.sort_by_key(|entry| names.iter().position(|name| *name == entry.section));
    entries
}

/// The entries by section, in order, empty sections left out.
pub fn sections(entries: &[Entry]) -> Vec<(String, Vec<Entry>)> {
    let mut sections: Vec<(String, Vec<Entry>)> = Vec::new();
    for entry in arranged(entries.to_vec()) {
        match sections.last_mut() {
            Some((name, inside)) if *name == entry.section => inside.push(entry),
            _ => sections.push((entry.section.clone(), vec![entry])),
        }
    }
    sections
}

/// What an editor's form says about an issue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The subject.
    pub subject: String,
    /// The preheader.
    pub preheader: String,
    /// The introduction, Markdown.
    pub introduction: String,
    /// After how many sections the support ask stands.
    pub ask_after: Option<i64>,
    /// The entries, in order.
    pub lines: Vec<DraftLine>,
}

/// One entry in a [`Draft`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DraftLine {
    /// The article.
    pub article_id: i64,
    /// Its section.
    pub section: String,
    /// The issue's own headline; empty: as in the article.
    pub headline: String,
    /// The issue's own blurb; empty: as in the article.
    pub blurb: String,
}

/// What an editor does to the order of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// One place up within its section.
    Up(i64),
    /// One place down within its section.
    Down(i64),
    /// Out of the issue.
    Remove(i64),
    /// The order of all, as dragged; `None` is the support ask.
    Order(Vec<Option<i64>>),
    /// The support ask one section up.
    AskUp,
    /// The support ask one section down.
    AskDown,
    /// The support ask out of the issue.
    AskRemove,
    /// The support ask back in.
    AskAdd,
}

impl Draft {
    /// The draft of a stored issue.
    pub fn of(issue: &Issue, entries: &[Entry]) -> Draft {
        let line = |entry: &Entry| DraftLine {
            article_id: entry.article_id,
            section: entry.section.clone(),
            headline: entry.headline.clone().unwrap_or_default(),
            blurb: entry.blurb.clone().unwrap_or_default(),
        };
        Draft {
            subject: issue.subject.clone(),
            preheader: issue.preheader.clone(),
            introduction: issue.introduction.clone(),
            ask_after: issue.ask_after,
            lines: entries.iter().map(line).collect(),
        }
    }

    /// Sections under their house names, in their order, nothing twice.
    pub fn tidied(mut self) -> Draft {
        let mut seen = std::collections::HashSet::new();
        self.lines.retain(|line| seen.insert(line.article_id));
        for line in &mut self.lines {
            line.section = section_name(&line.section);
        }
        let names = self.section_names();
        self.lines.sort_by_key(|line| names.iter().position(|name| *name == line.section));
        self
    }

    /// The sections that have an entry, in order.
    fn section_names(&self) -> Vec<String> {
        let mut names: Vec<String> = SECTIONS.iter().map(|name| (*name).to_owned()).collect();
        for line in &self.lines {
            if !names.contains(&line.section) {
                names.push(line.section.clone());
            }
        }
        names.retain(|name| self.lines.iter().any(|line| line.section == *name));
        names
    }

    /// The draft after an act. What does not apply (the first one up) changes nothing.
    pub fn after(self, act: &Act) -> Draft {
        let mut draft = self.tidied();
        let count = draft.section_names().len() as i64;
        match act {
            Act::Up(id) => draft.step(*id, -1),
            Act::Down(id) => draft.step(*id, 1),
            Act::Remove(id) => draft.lines.retain(|line| line.article_id != *id),
            Act::Order(order) => draft.reorder(order),
            Act::AskUp => draft.ask_after = draft.ask_after.map(|after| (after.min(count) - 1).max(0)),
            Act::AskDown => draft.ask_after = draft.ask_after.map(|after| ask_place(after.saturating_add(1), count)),
            Act::AskRemove => draft.ask_after = None,
            Act::AskAdd => draft.ask_after = draft.ask_after.or(Some(ASK_LAST)),
        }
        draft.tidied()
    }

    fn step(&mut self, id: i64, by: isize) {
        let Some(from) = self.lines.iter().position(|line| line.article_id == id) else { return };
        let Some(to) = from.checked_add_signed(by).filter(|to| *to < self.lines.len()) else { return };
        if self.lines[from].section == self.lines[to].section {
            self.lines.swap(from, to);
        }
    }

    fn reorder(&mut self, order: &[Option<i64>]) {
        let place = |id: i64| order.iter().position(|other| *other == Some(id)).unwrap_or(usize::MAX);
        self.lines.sort_by_key(|line| place(line.article_id));
        if self.ask_after.is_some()
            && let Some(at) = order.iter().position(Option::is_none)
        {
            let mut before: Vec<&str> =
                self.lines.iter().filter(|line| place(line.article_id) < at).map(|l| l.section.as_str()).collect();
            before.sort_unstable();
            before.dedup();
            self.ask_after = Some(ask_place(before.len() as i64, self.section_names().len() as i64));
        }
    }
}

/// At the end stays at the end when sections are added.
fn ask_place(after: i64, sections: i64) -> i64 {
    if after >= sections { ASK_LAST } else { after.max(0) }
}

/// What the archive keeps of an entry, written at the freeze.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The section.
    pub section: String,
    /// The headline.
    pub headline: String,
    /// The article's address.
    pub url: String,
    /// Who wrote it.
    pub author: String,
    /// When it was published.
    pub published_at: Moment,
    /// The blurb.
    pub blurb: String,
    /// The text's language, empty where unknown.
    pub language: String,
}

/// An issue as readers find it in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// The issue's number.
    pub number: i64,
    /// Its subject.
    pub subject: String,
    /// Its preheader.
    pub preheader: String,
    /// Its introduction, Markdown.
    pub introduction: String,
    /// Where the support ask stands.
    pub ask_after: Option<i64>,
    /// When it was frozen, which is when it went out.
    pub at: Moment,
    /// Its entries, in order.
    pub entries: Vec<Kept>,
}

impl Archived {
    /// The entries by section, in order.
    pub fn sections(&self) -> Vec<(&str, Vec<&Kept>)> {
        let mut sections: Vec<(&str, Vec<&Kept>)> = Vec::new();
        for entry in &self.entries {
            match sections.last_mut() {
                Some((name, inside)) if *name == entry.section => inside.push(entry),
                _ => sections.push((&entry.section, vec![entry])),
            }
        }
        sections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(lines: &[(i64, &str)]) -> Draft {
        Draft {
            ask_after: Some(1),
            lines: lines
                .iter()
                .map(|(id, section)| DraftLine {
                    article_id: *id,
                    section: (*section).to_owned(),
                    ..DraftLine::default()
                })
                .collect(),
            ..Draft::default()
        }
    }

    fn order(draft: &Draft) -> Vec<i64> {
        draft.lines.iter().map(|line| line.article_id).collect()
    }

    #[test]
    fn sections_stand_in_their_order_and_others_after_them() {
        let tidy =
            draft(&[(1, "Business"), (2, "opinion"), (3, " Новости "), (4, "News"), (2, "News"), (5, "Arts")]).tidied();
        assert_eq!(order(&tidy), [3, 4, 2, 1, 5]);
        assert_eq!(tidy.lines[0].section, "News");
    }

    #[test]
    fn an_entry_moves_within_its_section_only() {
        let start = || draft(&[(1, "News"), (2, "News"), (3, "Opinion")]);
        assert_eq!(order(&start().after(&Act::Down(1))), [2, 1, 3]);
        assert_eq!(order(&start().after(&Act::Up(1))), [1, 2, 3]);
        assert_eq!(order(&start().after(&Act::Down(2))), [1, 2, 3]);
        assert_eq!(order(&start().after(&Act::Up(99))), [1, 2, 3]);
        assert_eq!(order(&start().after(&Act::Remove(2))), [1, 3]);
    }

    #[test]
    fn what_was_dragged_stands_where_it_was_dropped() {
        let start = draft(&[(1, "News"), (2, "News"), (3, "Opinion")]);
        let after = start.after(&Act::Order(vec![Some(2), Some(1), Some(3), None]));
        assert_eq!((order(&after), after.ask_after), (vec![2, 1, 3], Some(ASK_LAST)));
        // An entry that another editor added meanwhile is not in the order: it stays, at the end of its section.
        let after = after.after(&Act::Order(vec![None, Some(1), Some(3)]));
        assert_eq!((order(&after), after.ask_after), (vec![1, 2, 3], Some(0)));
    }

    #[test]
    fn the_ask_moves_by_sections_and_stays_within_the_issue() {
        let start = || draft(&[(1, "News"), (3, "Opinion")]);
        assert_eq!(start().after(&Act::AskDown).ask_after, Some(ASK_LAST));
        assert_eq!(start().after(&Act::AskDown).after(&Act::AskDown).ask_after, Some(ASK_LAST));
        assert_eq!(start().after(&Act::AskDown).after(&Act::AskUp).ask_after, Some(1));
        assert_eq!(start().after(&Act::AskUp).after(&Act::AskUp).ask_after, Some(0));
        assert_eq!(start().after(&Act::AskRemove).after(&Act::AskUp).ask_after, None);
        assert_eq!(start().after(&Act::AskRemove).after(&Act::AskAdd).ask_after, Some(ASK_LAST));
    }

    #[test]
    fn long_text_is_cut_at_a_sentence_or_a_word() {
        assert_eq!(shortened("One two three. Four five six", 20), "One two three.");
        assert_eq!(shortened("Ein zwei, drei vier", 10), "Ein zwei…");
        assert_eq!(shortened("слово", 5), "слово");
        assert_eq!(squeezed(" a\r\nb\t\u{a0}c "), "a b \u{a0}c");
    }
}
