//! The composer: the form an editor fills in, and what the page around it shows.
//!
//! The whole page is one form, so that every button on it, "Search" and "Add" too, first saves what was typed: nothing is
//! lost by pressing the wrong one, with a script or without.

use crate::articles::store::{Found, Search};
use crate::clock::Moment;
use crate::digest::proof::Proof;
use crate::digest::{ASK_LAST, Act, Draft, DraftLine, Entry, SECTIONS, State, WARN_BYTES, sections, subject};
use crate::subscribers::Edition;
use crate::words::Language;
use serde::Deserialize;
use std::collections::HashMap;

/// What the composer's form sends. The lists run side by side: one item for each entry.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Edit {
    /// The issue's `changed_at` when the page was made.
    pub seen: i64,
    /// See [`Draft`].
    pub subject: String,
    /// See [`Draft`].
    pub preheader: String,
    /// See [`Draft`].
    pub introduction: String,
    /// A number, or empty: no support ask.
    pub ask_after: String,
    entry: Vec<i64>,
    headline: Vec<String>,
    blurb: Vec<String>,
    section: Vec<String>,
    up: String,
    down: String,
    remove: String,
    ask: String,
    order: String,
    /// An article to add.
    pub add: String,
    /// An address to add.
    pub url: String,
    /// To whom a test goes, one a line.
    pub to: String,
    /// Whether a test was asked for.
    pub test: String,
    q: String,
    within: String,
    unsent: String,
    page: String,
    edition: String,
    lang: String,
    asks: String,
}

impl Edit {
    /// The draft as it was sent, before any act. `None` when the lists do not fit together.
    pub fn draft(&self) -> Option<Draft> {
        let count = self.entry.len();
        if [self.headline.len(), self.blurb.len(), self.section.len()].iter().any(|len| *len != count) {
            return None;
        }
        let line = |at: usize| DraftLine {
            article_id: self.entry[at],
            section: self.section[at].clone(),
            headline: self.headline[at].clone(),
            blurb: self.blurb[at].clone(),
        };
        Some(Draft {
            subject: self.subject.clone(),
            preheader: self.preheader.clone(),
            introduction: self.introduction.clone(),
            ask_after: self.ask_after.parse().ok().filter(|after| (0..=ASK_LAST).contains(after)),
            lines: (0..count).map(line).collect(),
        })
    }

    /// What the pressed button does to the draft, and where on the page to go afterwards.
    pub fn act(&self) -> Option<(Act, String)> {
        let id = |text: &str| text.parse::<i64>().ok();
        let spot = |id: i64| format!("e{id}");
        let ask = || "ask".to_owned();
        match (self.up.as_str(), self.down.as_str(), self.remove.as_str(), self.ask.as_str()) {
            ("ask", ..) => Some((Act::AskUp, ask())),
            (_, "ask", ..) => Some((Act::AskDown, ask())),
            (_, _, "ask", _) => Some((Act::AskRemove, "issue".to_owned())),
            (_, _, _, "add") => Some((Act::AskAdd, ask())),
            (up, down, remove, _) => {
                let moved = id(up).map(|id| (Act::Up(id), spot(id))).or(id(down).map(|id| (Act::Down(id), spot(id))));
                moved.or(id(remove).map(|id| (Act::Remove(id), "issue".to_owned()))).or_else(|| {
                    let order: Vec<Option<i64>> =
                        self.order.split(',').filter(|part| !part.is_empty()).map(id).collect();
                    (!order.is_empty()).then(|| (Act::Order(order), "issue".to_owned()))
                })
            }
        }
    }

    /// What is looked for and looked at, to be kept across a save.
    pub fn looking(&self) -> Looking {
        Looking {
            q: self.q.clone(),
            within: self.within.clone(),
            unsent: self.unsent.clone(),
            page: self.page.clone(),
            edition: self.edition.clone(),
            lang: self.lang.clone(),
            asks: self.asks.clone(),
            done: String::new(),
        }
    }
}

/// The part of the page's address after the question mark.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Looking {
    /// Words to look for.
    pub q: String,
    /// A section to look in.
    pub within: String,
    /// Whether to leave out what was sent.
    pub unsent: String,
    /// Which page of the articles.
    pub page: String,
    /// The edition in the preview.
    pub edition: String,
    /// The language in the preview.
    pub lang: String,
    /// `no`: the preview without the support ask.
    pub asks: String,
    /// What was just done.
    pub done: String,
}

impl Looking {
    /// As a query, without what is empty.
    pub fn query(&self) -> String {
        let pairs = [
            ("q", &self.q),
            ("within", &self.within),
            ("unsent", &self.unsent),
            ("page", &self.page),
            ("edition", &self.edition),
            ("lang", &self.lang),
            ("asks", &self.asks),
            ("done", &self.done),
        ];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        reqwest::Url::parse_with_params("http://x/", pairs)
            .ok()
            .and_then(|url| url.query().map(str::to_owned))
            .unwrap_or_default()
    }

    /// As the search of the articles.
    pub fn search(&self) -> Search {
        Search { text: self.q.clone(), section: self.within.clone(), unsent: self.unsent == "1" }
    }

    /// Which page of the articles.
    pub fn page(&self) -> i64 {
        self.page.parse().unwrap_or(1).max(1)
    }

    /// The edition in the preview: plain has no HTML of its own, so the page offers two.
    pub fn edition(&self) -> Edition {
        Edition::parse(&self.edition).filter(|edition| *edition == Edition::Full).unwrap_or(Edition::Links)
    }

    /// The language in the preview.
    pub fn language(&self, own: Language) -> Language {
        Language::parse(&self.lang).unwrap_or(own)
    }
}

/// A section in the composer.
pub struct SectionView {
    /// Its name.
    pub name: String,
    /// Its element's id.
    pub id: String,
    /// Its entries.
    pub items: Vec<ItemView>,
    /// Whether the support ask stands at its end.
    pub ask: bool,
}

/// An entry in the composer.
pub struct ItemView {
    /// The article.
    pub id: i64,
    /// The headline readers will see.
    pub shown: String,
    /// The article's headline, where the issue has its own.
    pub original: Option<String>,
    /// The issue's own headline.
    pub headline: String,
    /// The issue's own blurb.
    pub blurb: String,
    /// The blurb readers will see.
    pub blurb_shown: String,
    /// The blurb if there were no own one.
    pub blurb_else: String,
    /// The section.
    pub section: String,
    /// The number of an earlier issue that had it.
    pub sent_in: Option<i64>,
    /// Whether the article's full text is here.
    pub has_text: bool,
    /// Whether it can go up within its section.
    pub first: bool,
    /// Whether it can go down.
    pub last: bool,
}

/// The issue in the composer: all five sections (to be dropped into), and others that are in use.
pub fn section_views(entries: &[Entry], ask_after: Option<i64>, sent: &HashMap<i64, i64>) -> Vec<SectionView> {
    let filled = sections(entries);
    let ask_after = ask_after.map(|after| after.clamp(0, filled.len() as i64));
    let mut names: Vec<String> = SECTIONS.iter().map(|name| (*name).to_owned()).collect();
    names.extend(filled.iter().map(|(name, _)| name.clone()).filter(|name| !SECTIONS.contains(&name.as_str())));
    let view = |(at, name): (usize, String)| {
        let nth = filled.iter().position(|(other, _)| *other == name);
        let inside = nth.map(|nth| filled[nth].1.as_slice()).unwrap_or_default();
        SectionView {
            id: format!("s{}", at + 1),
            ask: nth.is_some_and(|nth| ask_after == Some(nth as i64 + 1)),
            items: inside
                .iter()
                .enumerate()
                .map(|(n, entry)| item(entry, n == 0, n + 1 == inside.len(), sent))
                .collect(),
            name,
        }
    };
    names.into_iter().enumerate().map(view).collect()
}

fn item(entry: &Entry, first: bool, last: bool, sent: &HashMap<i64, i64>) -> ItemView {
    let own = entry.headline.as_deref().unwrap_or_default().trim();
    ItemView {
        id: entry.article_id,
        shown: entry.headline().to_owned(),
        original: (!own.is_empty() && own != entry.piece.title).then(|| entry.piece.title.clone()),
        headline: own.to_owned(),
        blurb: entry.blurb.clone().unwrap_or_default(),
        blurb_shown: entry.blurb(),
        blurb_else: Entry { blurb: None, ..entry.clone() }.blurb(),
        section: entry.section.clone(),
        sent_in: sent.get(&entry.article_id).copied(),
        has_text: !entry.piece.body_html.trim().is_empty(),
        first,
        last,
    }
}

/// An article that can be put in.
pub struct Pick {
    /// The article.
    pub id: i64,
    /// Its headline.
    pub title: String,
    /// Its section.
    pub section: String,
    /// Its author.
    pub author: String,
    /// When, as staff read it.
    pub when: String,
    /// When, for machines.
    pub iso: String,
    /// Whether it is in this issue.
    pub here: bool,
    /// The number of an earlier issue that had it.
    pub sent_in: Option<i64>,
}

/// The articles on the left.
pub fn picks(found: &Found, entries: &[Entry], sent: &HashMap<i64, i64>, zone: &jiff::tz::TimeZone) -> Vec<Pick> {
    let pick = |article: &crate::articles::Article| {
        let at = article.published_at.to_jiff().to_zoned_datetime(zone.clone());
        Pick {
            id: article.id,
            title: article.title.clone(),
            section: article.section.clone(),
            author: article.author.clone().unwrap_or_default(),
            when: at.strftime("%-d %b %Y, %H:%M").to_string(),
            iso: at.strftime("%Y-%m-%dT%H:%M").to_string(),
            here: entries.iter().any(|entry| entry.article_id == article.id),
            sent_in: sent.get(&article.id).copied(),
        }
    };
    found.articles.iter().map(pick).collect()
}

/// How large a mail is.
pub struct Size {
    /// Its element's id.
    pub id: &'static str,
    /// "Links" or "Full".
    pub label: &'static str,
    /// In kB, rounded up.
    pub kb: usize,
}

/// The sizes of both HTML editions, in the newsletter's language, with the ask.
pub fn sizes(proof: &Proof) -> Result<Vec<Size>, crate::digest::render::RenderError> {
    let size = |id, label, edition| {
        let rendered = proof.edition(edition, proof.newsletter.language, true)?;
        Ok(Size { id, label, kb: rendered.size().div_ceil(1000) })
    };
    Ok(vec![size("size-links", "Links", Edition::Links)?, size("size-full", "Full", Edition::Full)?])
}

/// A line of what to look at before sending.
pub struct Check {
    /// `is-good`, `is-warn` or `is-bad`.
    pub tone: &'static str,
    /// The state in a word.
    pub word: &'static str,
    /// What it is about.
    pub text: String,
}

impl Check {
    fn good(text: impl Into<String>) -> Check {
        Check { tone: "is-good", word: "Good", text: text.into() }
    }

    fn look(text: impl Into<String>) -> Check {
        Check { tone: "is-warn", word: "Look", text: text.into() }
    }

    fn bad(text: impl Into<String>) -> Check {
        Check { tone: "is-bad", word: "Not yet", text: text.into() }
    }

    fn either(good: bool, yes: impl Into<String>, no: impl Into<String>) -> Check {
        if good { Check::good(yes) } else { Check::look(no) }
    }
}

/// Everything to look at before sending, what is worst first.
pub fn checks(proof: &Proof, views: &[SectionView], sizes: &[Size], address: &str) -> Vec<Check> {
    let (issue, entries) = (&proof.issue, &proof.entries);
    let items: Vec<&ItemView> = views.iter().flat_map(|view| &view.items).collect();
    let again: Vec<&&ItemView> = items.iter().filter(|item| item.sent_in.is_some()).collect();
    let short = items.iter().filter(|item| !item.has_text).count();
    let blank = items.iter().filter(|item| item.blurb_shown.is_empty()).count();
    let mut checks = vec![
        match entries.len() {
            0 => Check::bad("Articles: there are none"),
            1 => Check::good("1 article"),
            n => Check::good(format!("{n} articles")),
        },
        Check::either(
            !issue.subject.trim().is_empty(),
            "Subject",
            format!("No subject: “{}” is taken", subject(issue, entries, &proof.newsletter.name)),
        ),
        Check::either(!issue.preheader.trim().is_empty(), "Preheader", "No preheader: the next headlines are taken"),
        match again.as_slice() {
            [] => Check::good("No article was in an earlier issue"),
            [one] => Check::look(format!("“{}” was in No. {}", one.shown, one.sent_in.unwrap_or_default())),
            more => Check::look(format!("{} articles were in earlier issues", more.len())),
        },
        Check::either(
            short == 0,
            "Full text of every article",
            format!("{} without full text: the full-text edition has the blurb", many(short, "article")),
        ),
        Check::either(blank == 0, "A blurb for every article", format!("{} without a blurb", many(blank, "article"))),
    ];
    checks.extend(sizes.iter().map(|size| {
        let large = size.kb * 1000 > WARN_BYTES;
        let text =
            format!("{}: {} of 90 kB", if size.label == "Full" { "Full text" } else { "Headlines and links" }, size.kb);
        if large {
            Check::look(format!("{text}. Gmail cuts off what is longer than about 100"))
        } else {
            Check::good(text)
        }
    }));
    checks.push(if address.trim().is_empty() {
        Check::bad("A postal address: the law wants one in every mail; newsroom.toml has none")
    } else {
        Check::good("Text part, unsubscribe, postal address")
    });
    checks.push(match issue.tested_at {
        Some(at) if at >= issue.changed_at => Check::good(format!("Test sent at {}", clock(at, proof))),
        Some(at) => Check::look(format!("Changed since the test at {}", clock(at, proof))),
        None => Check::look("No test sent"),
    });
    if issue.state == State::Draft {
        checks.push(Check::look("Not scheduled"));
    }
    checks.sort_by_key(|check| ["is-bad", "is-warn", "is-good"].iter().position(|tone| *tone == check.tone));
    checks
}

fn many(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

fn clock(at: Moment, proof: &Proof) -> String {
    at.to_jiff().to_zoned_datetime(proof.newsletter.zone()).strftime("%H:%M").to_string()
}

/// What another editor's saved version has that the draft at hand has not, in sentences.
pub fn differences(mine: &Draft, theirs: &Draft, titles: impl Fn(i64) -> String) -> Vec<String> {
    let mut found = Vec::new();
    let mut text = |what: &str, mine: &str, theirs: &str| {
        let plain = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
        if plain(mine) != plain(theirs) {
            let theirs = plain(theirs);
            found.push(if theirs.is_empty() {
                format!("{what}: theirs is empty")
            } else {
                format!("{what}: theirs is “{theirs}”")
            });
        }
    };
    text("Subject", &mine.subject, &theirs.subject);
    text("Preheader", &mine.preheader, &theirs.preheader);
    text("Introduction", &mine.introduction, &theirs.introduction);
    for line in &theirs.lines {
        match mine.lines.iter().find(|other| other.article_id == line.article_id) {
            None => found.push(format!("They have “{}” in {}, you do not", titles(line.article_id), line.section)),
            Some(other) => {
                let title = titles(line.article_id);
                let mut part = |what: &str, mine: &str, theirs: &str| {
                    if mine.trim() != theirs.trim() {
                        found.push(format!("{what} of “{title}”: theirs is “{}”", theirs.trim()));
                    }
                };
                part("Headline", &other.headline, &line.headline);
                part("Blurb", &other.blurb, &line.blurb);
                part("Section", &other.section, &line.section);
            }
        }
    }
    for line in mine.lines.iter().filter(|line| !theirs.lines.iter().any(|other| other.article_id == line.article_id)) {
        found.push(format!("You have “{}”, they do not", titles(line.article_id)));
    }
    let order = |draft: &Draft| draft.lines.iter().map(|line| line.article_id).collect::<Vec<_>>();
    if found.is_empty() && order(mine) != order(theirs) {
        found.push("The order of the articles".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_is_an_act() {
        let act = |edit: Edit| edit.act().map(|(act, _)| act);
        assert_eq!(act(Edit { up: "7".into(), ..Edit::default() }), Some(Act::Up(7)));
        assert_eq!(act(Edit { down: "ask".into(), ..Edit::default() }), Some(Act::AskDown));
        assert_eq!(act(Edit { remove: "7".into(), ..Edit::default() }), Some(Act::Remove(7)));
        assert_eq!(
            act(Edit { order: "7,ask,8".into(), ..Edit::default() }),
            Some(Act::Order(vec![Some(7), None, Some(8)]))
        );
        assert_eq!(act(Edit { up: "x".into(), ..Edit::default() }), None);
    }

    #[test]
    fn lists_that_do_not_fit_together_are_refused() {
        assert!(Edit { entry: vec![1], ..Edit::default() }.draft().is_none());
        let edit = Edit { ask_after: "2".into(), ..Edit::default() };
        assert_eq!(edit.draft().unwrap().ask_after, Some(2));
        assert_eq!(Edit { ask_after: "-2".into(), ..Edit::default() }.draft().unwrap().ask_after, None);
    }

    #[test]
    fn two_editors_are_told_how_they_differ() {
        let mine = Draft { subject: "A".into(), ..Draft::default() };
        let line = DraftLine { article_id: 5, section: "News".into(), ..DraftLine::default() };
        let theirs = Draft { subject: "B".into(), lines: vec![line], ..Draft::default() };
        assert_eq!(
            differences(&mine, &theirs, |id| format!("Article {id}")),
            ["Subject: theirs is “B”", "They have “Article 5” in News, you do not"]
        );
        assert!(differences(&mine, &mine, |_| String::new()).is_empty());
    }

    #[test]
    fn what_was_looked_for_is_kept_across_a_save() {
        let looking = Looking { q: "a&b ц".into(), page: "2".into(), ..Looking::default() };
        assert_eq!(looking.query(), "q=a%26b+%D1%86&page=2");
    }
}
