//! An article from its own page, for what no feed carries: headline, summary, author, date, picture, and as much of the
//! text as can be told from the furniture around it. Best effort: an editor sees the result before readers do.

use std::collections::HashMap;

use html5ever::tokenizer::Tag;
use reqwest::Url;
use serde_json::Value;

use super::feed::{self, Lost, SUMMARY, canonical};
use super::html::{self, Piece};
use super::{Entry, Picture, charset, section_of};
use crate::clock::Moment;

/// A text shorter than this is a teaser or a notice, not the article.
const SHORTEST: usize = 250;
/// How much of a page's text is looked at.
const LONGEST: usize = 2 << 20;

/// Why a page is no article, in one sentence for staff.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Not HTML
    #[error("This is not a web page, so it cannot be taken as an article.")]
    NotAPage,
    /// Nothing to call it by
    #[error("This page has no headline, so it cannot be taken as an article.")]
    NoHeadline,
    /// It could not be read at all
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// Reads an article from its page, on a thread of its own.
pub(super) async fn parse(bytes: Vec<u8>, charset: Option<String>, url: Url) -> Result<Entry, PageError> {
    feed::guarded(move || read(&charset::decode(&bytes, charset.as_deref()), &url)).await?
}

fn read(page: &str, url: &Url) -> Result<Entry, PageError> {
    let head: String = page.chars().take(4096).collect::<String>().to_ascii_lowercase();
    if !["<html", "<!doctype html", "<head", "<title", "<body", "<meta"].iter().any(|t| head.contains(t)) {
        return Err(PageError::NotAPage);
    }
    let seen = Seen::of(page);
    let article = seen.data.iter().find_map(|d| article_data(&serde_json::from_str(d).ok()?, 0));
    let said = |key: &str| article.as_ref().and_then(|a| a.get(key));
    let words = |text: &str| Some(html::plain(text)).filter(|t| !t.is_empty());

    let title = text_of(said("headline"))
        .and_then(|t| words(&t))
        .or_else(|| words(seen.meta("og:title")?))
        .or_else(|| words(&seen.heading))
        .or_else(|| words(&seen.title))
        .ok_or(PageError::NoHeadline)?;
    let url = seen.address(url);
    let mut body = seen
        .text()
        .map(|t| html::body(t, Some(&url)))
        .or_else(|| text_of(said("articleBody")).map(|t| html::body(&html::paragraphs(&t), Some(&url))))
        .filter(|b| html::plain(&b.html).chars().count() >= SHORTEST)
        .unwrap_or_default();
    let summary = ["og:description", "description", "twitter:description"]
        .iter()
        .find_map(|m| words(seen.meta(m)?))
        .or_else(|| words(&text_of(said("description"))?))
        .unwrap_or_else(|| html::plain(&body.html));
    let picture = ["og:image:secure_url", "og:image", "twitter:image"]
        .iter()
        .find_map(|m| html::web_address(seen.meta(m)?, Some(&url)))
        .map(|picture| Picture {
            url: picture.into(),
            caption: seen.meta("og:image:alt").map(html::plain).unwrap_or_default(),
        });
    Ok(Entry {
        guid: None,
        title: title.chars().take(500).collect(),
        author: authors(said("author")).or_else(|| {
            let named = ["author", "article:author", "parsely-author"].iter().find_map(|m| words(seen.meta(m)?));
            named.filter(|a| !a.contains('@') && !a.starts_with("http"))
        }),
        section: text_of(said("articleSection"))
            .or_else(|| seen.meta("article:section").map(str::to_owned))
            .and_then(|s| section_of(&s).map(str::to_owned)),
        published_at: text_of(said("datePublished"))
            .as_deref()
            .or_else(|| seen.meta("article:published_time"))
            .or_else(|| seen.meta("date"))
            .or(Some(seen.time.as_str()))
            .and_then(date),
        summary: html::shorten(&summary, SUMMARY),
        picture: picture.or(body.picture.take()),
        body_html: Some(body.html).filter(|b| !b.is_empty()),
        language: feed::short_language(&seen.language),
        url: url.into(),
    })
}

/// What is remembered of a page while it passes by.
#[derive(Default)]
struct Seen {
    metas: HashMap<String, String>,
    title: String,
    heading: String,
    canonical: String,
    language: String,
    time: String,
    /// Blocks of JSON-LD
    data: Vec<String>,
    /// Everything inside of the elements that may hold the article
    text: String,
    /// Those that are open: name, how many of the same name are open inside, where they began, how good a sign they are
    open: Vec<(String, usize, usize, u8)>,
    /// The best of those that ended, by sign and then by length
    best: Option<(u8, std::ops::Range<usize>)>,
    /// Inside of furniture: name and how many of the same name
    skipping: Option<(String, usize)>,
    into: Into,
}

/// Where text goes at the moment.
#[derive(Default, PartialEq)]
enum Into {
    #[default]
    Text,
    Title,
    Heading,
    Data,
    Nowhere,
}

impl Seen {
    fn of(page: &str) -> Seen {
        let mut seen = Seen::default();
        html::walk(page, |piece| seen.take(&piece));
        while let Some((_, _, start, sign)) = seen.open.pop() {
            seen.offer(sign, start);
        }
        seen
    }

    fn meta(&self, name: &str) -> Option<&str> {
        self.metas.get(name).map(String::as_str).filter(|v| !v.trim().is_empty())
    }

    /// The address that the page gives itself, believed only on its own host.
    fn address(&self, url: &Url) -> Url {
        let own = [self.canonical.as_str(), self.meta("og:url").unwrap_or_default()]
            .into_iter()
            .filter(|a| !a.is_empty())
            .filter_map(|a| html::web_address(a, Some(url)))
            // A front page is what careless templates name.
            .find(|a| a.host_str() == url.host_str() && (a.path() != "/" || url.path() == "/"));
        canonical(own.unwrap_or_else(|| url.clone()))
    }

    fn text(&self) -> Option<&str> {
        self.best.as_ref().map(|(_, range)| &self.text[range.clone()])
    }

    fn take(&mut self, piece: &Piece<'_>) {
        match piece {
            Piece::Open(tag) => self.open_tag(tag),
            Piece::Close(name) => self.close_tag(name),
            Piece::Text(text) => match self.into {
                Into::Title => self.title.push_str(text),
                Into::Heading => self.heading.push_str(text),
                Into::Data => {
                    if let Some(data) = self.data.last_mut() {
                        data.push_str(text);
                    }
                }
                Into::Text if self.is_kept() => html::escape(&mut self.text, text),
                Into::Text | Into::Nowhere => {}
            },
        }
    }

    fn is_kept(&self) -> bool {
        !self.open.is_empty() && self.skipping.is_none() && self.text.len() < LONGEST
    }

    fn open_tag(&mut self, tag: &Tag) {
        let name = &*tag.name;
        match name {
            "html" => self.language = html::attribute(tag, "lang").unwrap_or_default().to_owned(),
            "meta" => {
                let key = html::attribute(tag, "property").or_else(|| html::attribute(tag, "name"));
                if let (Some(key), Some(value)) = (key, html::attribute(tag, "content")) {
                    self.metas.entry(key.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
                }
            }
            "link" if html::attribute(tag, "rel").is_some_and(|r| r.eq_ignore_ascii_case("canonical")) => {
                self.canonical = html::attribute(tag, "href").unwrap_or_default().to_owned();
            }
            "title" if self.title.is_empty() && self.skipping.is_none() => self.into = Into::Title,
            "h1" => self.into = if self.heading.trim().is_empty() { Into::Heading } else { Into::Nowhere },
            "script" => {
                let is_data =
                    html::attribute(tag, "type").is_some_and(|t| t.eq_ignore_ascii_case("application/ld+json"));
                self.into = if is_data { Into::Data } else { Into::Nowhere };
                if is_data {
                    self.data.push(String::new());
                }
            }
            "style" => self.into = Into::Nowhere,
            "time" if self.time.is_empty() => {
                self.time = html::attribute(tag, "datetime").unwrap_or_default().to_owned();
            }
            _ => {}
        }
        if let Some((skipped, depth)) = &mut self.skipping {
            *depth += usize::from(skipped == name);
            return;
        }
        if is_furniture(tag) {
            self.skipping = Some((name.to_owned(), 1));
            return;
        }
        for (open, depth, ..) in &mut self.open {
            *depth += usize::from(open == name);
        }
        if self.is_kept() && !matches!(name, "h1" | "script" | "style") {
            self.write_tag(tag);
        }
        let sign = match name {
            _ if html::attribute(tag, "itemprop") == Some("articleBody") => 3,
            "article" => 2,
            "main" => 1,
            _ => return,
        };
        if self.open.len() < 8 {
            self.open.push((name.to_owned(), 1, self.text.len(), sign));
        }
    }

    fn write_tag(&mut self, tag: &Tag) {
        self.text.push('<');
        self.text.push_str(&tag.name);
        for name in ["href", "src", "data-src", "width", "alt"] {
            if let Some(value) = html::attribute(tag, name) {
                self.text.push(' ');
                self.text.push_str(name);
                self.text.push_str("=\"");
                html::escape(&mut self.text, value);
                self.text.push('"');
            }
        }
        self.text.push('>');
    }

    fn close_tag(&mut self, name: &str) {
        if matches!(name, "title" | "h1" | "script" | "style") {
            self.into = Into::Text;
        }
        if let Some((skipped, depth)) = &mut self.skipping {
            if skipped == name {
                *depth -= 1;
                if *depth == 0 {
                    self.skipping = None;
                }
            }
            return;
        }
        for (open, depth, ..) in &mut self.open {
            *depth -= usize::from(open == name && *depth > 0);
        }
        while let Some((_, 0, start, sign)) = self.open.last().cloned() {
            self.open.pop();
            self.offer(sign, start);
        }
        if self.is_kept() && name != "h1" {
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push('>');
        }
    }

    /// Keeps the better of what it has and what just ended. A short one is a teaser, whatever its sign.
    fn offer(&mut self, sign: u8, start: usize) {
        let range = start..self.text.len();
        let worth = |sign: u8, length: usize| if length < SHORTEST { (0, length) } else { (sign, length) };
        let better = self.best.as_ref().is_none_or(|(s, r)| worth(sign, range.len()) > worth(*s, r.len()));
        if better {
            self.best = Some((sign, range));
        }
    }
}

/// What stands around an article, or in it without belonging to it.
fn is_furniture(tag: &Tag) -> bool {
    match &*tag.name {
        "nav" | "aside" | "footer" | "form" | "header" | "noscript" | "dialog" => true,
        "div" | "section" | "ul" | "ol" => {
            let names = [html::attribute(tag, "class"), html::attribute(tag, "id"), html::attribute(tag, "role")];
            names.into_iter().flatten().flat_map(|n| n.split(|c: char| !c.is_ascii_alphanumeric())).any(|word| {
                matches!(
                    word.to_ascii_lowercase().as_str(),
                    "share"
                        | "sharing"
                        | "social"
                        | "related"
                        | "newsletter"
                        | "promo"
                        | "advert"
                        | "ad"
                        | "ads"
                        | "comments"
                        | "recommended"
                        | "breadcrumb"
                        | "breadcrumbs"
                        | "navigation"
                        | "tags"
                        | "donate"
                        | "donation"
                )
            })
        }
        _ => false,
    }
}

/// The article in a block of JSON-LD, wherever it is.
fn article_data(value: &Value, depth: u8) -> Option<Value> {
    if depth > 4 {
        return None;
    }
    match value {
        Value::Array(items) => items.iter().find_map(|i| article_data(i, depth + 1)),
        Value::Object(fields) => {
            let is_article = |kind: &str| kind.ends_with("Article") || kind.ends_with("Posting") || kind == "Report";
            let named = match fields.get("@type") {
                Some(Value::String(kind)) => is_article(kind),
                Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(is_article),
                _ => false,
            };
            if named {
                return Some(value.clone());
            }
            ["@graph", "mainEntity"].iter().find_map(|key| article_data(fields.get(*key)?, depth + 1))
        }
        _ => None,
    }
}

/// A text, or the first of several.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => text_of(items.first()),
        _ => None,
    }
    .filter(|t| !t.trim().is_empty())
}

/// Names of people in any of the forms in which JSON-LD writes them.
fn authors(value: Option<&Value>) -> Option<String> {
    fn name(value: &Value) -> Option<String> {
        let text = match value {
            Value::String(text) => text,
            Value::Object(fields) => fields.get("name")?.as_str()?,
            _ => return None,
        };
        Some(html::plain(text)).filter(|n| !n.is_empty() && !n.contains('@') && !n.starts_with("http"))
    }
    let names: Vec<String> = match value? {
        Value::Array(items) => items.iter().filter_map(name).collect(),
        one => name(one).into_iter().collect(),
    };
    (!names.is_empty()).then(|| html::shorten(&names.join(", "), 200))
}

/// A date as pages write it: ISO 8601 with a zone, or a day.
fn date(text: &str) -> Option<Moment> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.into());
    }
    // `+0300` without its colon
    if let Some((head, zone)) = text.len().checked_sub(4).and_then(|at| text.split_at_checked(at))
        && head.ends_with(['+', '-'])
        && let Some((hours, minutes)) = zone.split_at_checked(2)
        && let Ok(at) = format!("{head}{hours}:{minutes}").parse::<jiff::Timestamp>()
    {
        return Some(at.into());
    }
    let day: jiff::civil::Date = text.get(..10)?.parse().ok()?;
    Some(day.to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The river rose by two metres in a night, and by the morning the lower market stood under water. \
        People carried their goods to the roofs. Nobody had been warned, though the gauge upstream had sent its figures \
        for three days, and the office that should have read them was closed for a holiday.";

    fn read(page: &str) -> Result<Entry, PageError> {
        super::read(page, &Url::parse("https://paper.example/2026/river?utm_source=x").unwrap()) // OK because it is a constant
    }

    #[test]
    fn an_article_is_told_from_its_furniture() {
        let page = format!(
            r#"<!DOCTYPE html><html lang="en-GB"><head><title>River – Paper</title>
            <meta property="og:title" content="The River &amp; the Market"><meta property="og:description" content="Nobody was warned.">
            <meta property="og:image" content="/river.jpg"><link rel="canonical" href="https://paper.example/2026/river">
            <script type="application/ld+json">{{"@graph":[{{"@type":"WebPage"}},{{"@type":["NewsArticle"],"datePublished":"2026-11-20T08:00:00+0100",
            "author":[{{"@type":"Person","name":"A. Writer"}},{{"name":"desk@paper.example"}}],"articleSection":"Features"}}]}}</script></head>
            <body><nav>Home</nav><main><article><header><h1>The River</h1></header><div class="share-bar">Share</div>
            <div><p>{TEXT}</p><p>See <a href="/map?fbclid=3">the map</a>.</p></div><aside>More news</aside><form><input></form></article>
            <article><p>Teaser</p></article></main><script>var x = "<article>";</script></body></html>"#
        );
        let entry = read(&page).unwrap();
        assert_eq!(entry.title, "The River & the Market");
        assert_eq!(entry.url, "https://paper.example/2026/river");
        assert_eq!(entry.author.as_deref(), Some("A. Writer"));
        assert_eq!(entry.section.as_deref(), Some("Features"));
        assert_eq!(entry.summary, "Nobody was warned.");
        assert_eq!(entry.language.as_deref(), Some("en"));
        assert_eq!(entry.published_at, date("2026-11-20T07:00:00Z"));
        assert_eq!(entry.picture.unwrap().url, "https://paper.example/river.jpg");
        let body = entry.body_html.unwrap();
        assert!(body.starts_with("<p>The river rose"), "{body}");
        assert!(body.ends_with("<p>See <a href=\"https://paper.example/map\">the map</a>.</p>"), "{body}");
    }

    #[test]
    fn a_page_without_marks_still_has_a_headline() {
        let entry = read("<html><head><title>Only a title</title></head><body><p>Short.</p></body></html>").unwrap();
        assert_eq!((entry.title.as_str(), entry.body_html), ("Only a title", None));
        assert_eq!(read("<html><body></body></html>"), Err(PageError::NoHeadline));
        assert_eq!(read("%PDF-1.7 …"), Err(PageError::NotAPage));
    }

    #[test]
    fn a_page_cannot_claim_the_address_of_another_host() {
        let entry = read("<html><title>T</title><link rel=canonical href='https://other.example/x'></html>").unwrap();
        assert_eq!(entry.url, "https://paper.example/2026/river");
    }

    #[test]
    fn endless_pages_end() {
        for piece in [
            "<article>",
            "<main><div class=share>",
            "<h1>",
            "<p itemprop=articleBody>",
            "<script type=application/ld+json>{",
        ] {
            let page = format!("<html><title>T</title>{}", piece.repeat(20_000));
            let _ = read(&page);
        }
        let _ = article_data(&serde_json::from_str(&"[".repeat(100_000)).unwrap_or_default(), 0);
    }
}
