//! Bytes to entries: RSS 0.9 to 2.0, Atom, RDF and JSON Feed, in any charset, well written or not.
//!
//! The parser is good but not ours, and has been seen to panic; so it runs on a thread of its own with a deadline. A panic
//! there is one sentence about that feed. A thread that never came back would be left behind and hold one of
//! `PARSERS` places, which bounds what such feeds can cost.

use std::collections::HashMap;
use std::time::Duration;

use feed_rs::model;
use reqwest::Url;
use tokio::sync::{Semaphore, oneshot};

use super::html::{self, Piece};
use super::{Entry, Picture, charset, section_of};
use crate::clock::Moment;

/// How many feeds are parsed at once.
static PARSERS: Semaphore = Semaphore::const_new(2);
/// How long one may take. Ten megabytes of the worst kind seen take a few seconds in a debug build.
const DEADLINE: Duration = Duration::from_secs(30);
/// Room for a parser that calls itself.
const STACK: usize = 16 << 20;
/// The entries taken from one reading; the newest come first in every feed seen.
const MOST_ENTRIES: usize = 300;
/// About how many characters a summary has.
pub(super) const SUMMARY: usize = 320;
/// A description longer than this is the article itself.
const WHOLE_TEXT: usize = 700;
/// How a link begins that only leads to the article itself.
const READ_MORE: [&str; 6] =
    ["read more", "read full", "read the full", "continue reading", "читать далее", "подробнее"];
/// Texts longer than this are not articles.
const LONGEST_TEXT: usize = 1 << 20;

/// What a feed says.
#[derive(Debug)]
pub struct Document {
    /// What it calls itself
    pub title: Option<String>,
    /// Its articles, in its order
    pub entries: Vec<Entry>,
    /// Entries that had no headline or no address
    pub unusable: usize,
}

/// Why this is not a feed, in one sentence for staff.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Nothing came
    #[error("The address answered with nothing at all.")]
    Empty,
    /// HTML
    #[error("This is a web page, not a feed.{}", .feed.as_ref().map(|f| format!(" The page says that its feed is {f}")).unwrap_or_default())]
    Page {
        /// The feed that the page names
        feed: Option<Url>,
    },
    /// JSON of another kind
    #[error("This is JSON, but not a JSON Feed.")]
    OtherJson,
    /// XML of another kind
    #[error("This is XML, but neither RSS nor Atom.")]
    OtherXml,
    /// Not well-formed
    #[error("This looks like a feed, but it is broken: {0}.")]
    Broken(String),
    /// Anything else
    #[error("This is neither RSS nor Atom nor a JSON Feed.")]
    Unknown,
    /// The parser gave up
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// What happens to a parser that is fed the wrong thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// It panicked
    #[error("This is broken in a way that Friday cannot read.")]
    Panicked,
    /// It did not end
    #[error("This takes too long to read.")]
    TooSlow,
}

/// Reads a feed. `url` is where it was found in the end, after redirects: relative addresses begin there.
pub async fn parse(bytes: Vec<u8>, charset: Option<String>, url: Url) -> Result<Document, FeedError> {
    guarded(move || read(&bytes, charset.as_deref(), &url)).await?
}

/// Runs `work` on a thread of its own, where it can neither stop the process by a panic nor its caller by its length.
pub(super) async fn guarded<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
    let waiting = async {
        // OK because the semaphore is never closed.
        let place = PARSERS.acquire().await.expect("PARSERS is open");
        let (answer, answered) = oneshot::channel();
        let thread = std::thread::Builder::new().name("feed".into()).stack_size(STACK).spawn(move || {
            let _place = place;
            let _ = answer.send(work());
        });
        match thread {
            // The thread lets go of the sender without an answer when it panics.
            Ok(_) => answered.await.map_err(|_| Lost::Panicked),
            Err(_) => Err(Lost::TooSlow),
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or(Err(Lost::TooSlow))
}

/// [`parse`] without its guard.
fn read(bytes: &[u8], charset: Option<&str>, url: &Url) -> Result<Document, FeedError> {
    let text = prepared(charset::decode(bytes, charset));
    if text.is_empty() {
        return Err(FeedError::Empty);
    }
    let parser = || {
        feed_rs::parser::Builder::new()
            .base_uri(Some(url))
            // Without one of its own an entry is known by its address; a made-up id would be new at each reading.
            .id_generator(|_, _, _| String::new())
            .build()
    };
    let parsed = parser().parse(text.as_bytes()).or_else(|error| {
        let mended = mended(&text);
        if mended == text { Err(error) } else { parser().parse(mended.as_bytes()).map_err(|_| error) }
    });
    match parsed {
        Ok(feed) => Ok(document(feed, url)),
        Err(error) => Err(what_it_is(&text, &error, url)),
    }
}

/// The text as the parser likes it: no declaration (it names a charset that no longer holds), nothing before the first
/// element, no control characters.
fn prepared(text: String) -> String {
    let mut text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\0').trim_end();
    if !text.starts_with(['<', '{']) {
        // A warning of the server's script, printed before the feed
        let start = ["<?xml", "<rss", "<feed", "<rdf:RDF"].iter().filter_map(|s| text.find(s)).min();
        if let Some(start) = start.filter(|s| *s < 4096) {
            text = &text[start..];
        }
    }
    if text.starts_with("<?xml ")
        && let Some(end) = text.find("?>")
    {
        text = text[end + 2..].trim_start();
    }
    let mut text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).collect();
    // RSS has no namespace; some feeds give it one that the parser has never heard of, and it then sees nothing in them.
    if let Some((start, end)) = text.find("<rss").and_then(|at| Some((at, at + text[at..].find('>')?)))
        && let Some(at) = text[start..end].find(" xmlns=").map(|at| start + at)
        && let Some(quote) = text[at + 7..].chars().next().filter(|c| matches!(c, '"' | '\''))
        && let Some(length) = text[at + 8..end].find(quote)
    {
        text.replace_range(at..at + 9 + length, "");
    }
    // The whole text in the feeds that Russian newsrooms make for a search engine; the parser knows only its sister.
    if text.contains("<yandex:full-text") && !text.contains("<content:encoded") {
        text = text
            .replace("<yandex:full-text", "<content:encoded xmlns:content=\"http://purl.org/rss/1.0/modules/content/\"")
            .replace("</yandex:full-text>", "</content:encoded>");
    }
    text
}

/// The mistakes that feeds make most: a bare `&`, and an RSS version the parser does not know.
fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(inside) = rest.strip_prefix('&') {
            let name = inside.bytes().take(12).position(|b| b == b';').map(|end| &inside[..end]);
            let whole = name
                .map(|n| n.strip_prefix('#').unwrap_or(n))
                .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric()));
            out.push_str(if whole { "&" } else { "&amp;" });
            rest = inside;
        } else if rest.starts_with("<![CDATA[") {
            let Some(end) = rest.find("]]>") else { break };
            out.push_str(&rest[..end + 3]);
            rest = &rest[end + 3..];
        } else if rest.starts_with("<rss") {
            let Some(end) = rest.find('>') else { break };
            let (tag, after) = rest.split_at(end);
            match tag.split_once("version") {
                Some((before, value)) => {
                    let others = value.splitn(3, ['"', '\'']).nth(2).unwrap_or_default();
                    out.push_str(&format!("{before}version=\"2.0\"{others}"));
                }
                None => out.push_str(&format!("<rss version=\"2.0\"{}", &tag[4..])),
            }
            rest = after;
        } else {
            out.push('<');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// The one sentence for what could not be read.
fn what_it_is(text: &str, error: &feed_rs::parser::ParseFeedError, url: &Url) -> FeedError {
    let head: String = text.chars().take(2048).collect::<String>().to_ascii_lowercase();
    if head.starts_with('{') || head.starts_with('[') {
        return FeedError::OtherJson;
    }
    if head.contains("<rss") || head.contains("<feed") || head.contains("<rdf:rdf") {
        let detail = html::one_line(&error.to_string());
        return FeedError::Broken(html::shorten(&detail, 160).trim_end_matches('.').to_owned());
    }
    if head.contains("<html") || head.contains("<!doctype html") || head.contains("<head") || head.contains("<body") {
        return FeedError::Page { feed: feed_of_page(text, url) };
    }
    if head.starts_with('<') { FeedError::OtherXml } else { FeedError::Unknown }
}

/// The feed that a page names in its head.
fn feed_of_page(page: &str, url: &Url) -> Option<Url> {
    let mut found = None;
    html::walk(page, |piece| {
        let Piece::Open(tag) = piece else { return };
        if &*tag.name != "link" || found.is_some() {
            return;
        }
        let kind = html::attribute(tag, "type").unwrap_or_default().to_ascii_lowercase();
        let alternate = html::attribute(tag, "rel").is_some_and(|r| r.eq_ignore_ascii_case("alternate"));
        if alternate
            && matches!(kind.as_str(), "application/rss+xml" | "application/atom+xml" | "application/feed+json")
        {
            found = html::attribute(tag, "href").and_then(|h| html::web_address(h, Some(url)));
        }
    });
    found
}

fn document(feed: model::Feed, url: &Url) -> Document {
    let language = feed.language.clone();
    let authors = feed.authors.clone();
    let atom = feed.feed_type == model::FeedType::Atom;
    let title = feed.title.as_ref().map(|t| words(t, atom)).filter(|t| !t.is_empty());
    let total = feed.entries.len().min(MOST_ENTRIES);
    let mut entries: Vec<Entry> = feed
        .entries
        .into_iter()
        .take(MOST_ENTRIES)
        .filter_map(|e| {
            let mut entry = entry(e, url, atom)?;
            entry.language = entry.language.or_else(|| short_language(language.as_deref()?));
            if atom {
                entry.author = entry.author.or_else(|| author(&authors));
            }
            Some(entry)
        })
        .collect();
    let unusable = total - entries.len();
    // An id that several entries share is no id; an address that comes twice is one article.
    let mut uses: HashMap<String, usize> = HashMap::new();
    for guid in entries.iter().filter_map(|e| e.guid.clone()) {
        *uses.entry(guid).or_default() += 1;
    }
    let mut seen = std::collections::HashSet::new();
    entries.retain(|e| seen.insert(e.url.clone()));
    for entry in &mut entries {
        entry.guid = entry.guid.take().filter(|g| uses.get(g) == Some(&1));
    }
    Document { title, entries, unusable }
}

/// One article, or nothing where it has neither a headline nor words to make one of, or no address.
fn entry(mut from: model::Entry, feed_url: &Url, atom: bool) -> Option<Entry> {
    let guid = Some(std::mem::take(&mut from.id)).filter(|g| !g.is_empty() && g.len() <= 1000);
    let url = address(&from.links, guid.as_deref(), feed_url)?;
    let base = from.base.as_deref().and_then(|b| html::web_address(b, Some(feed_url))).unwrap_or_else(|| url.clone());

    let description = from.summary.take().map(|t| {
        let is_plain = atom && t.content_type.subty() == "plain";
        markup(t.content, is_plain)
    });
    let description = description.unwrap_or_default();
    let content = from
        .content
        .take()
        .and_then(|c| Some(markup(c.body?, c.content_type.subty() == "plain")))
        .filter(|c| !c.trim().is_empty());
    let whole = match content {
        Some(content) => Some(content),
        None if html::plain(&description).chars().count() > WHOLE_TEXT => Some(description.clone()),
        None => None,
    };
    let mut body = whole.filter(|w| w.len() <= LONGEST_TEXT).map(|w| html::body(&w, Some(&base))).unwrap_or_default();
    body.html = without_plug(&body.html).to_owned();
    let summary = if description.trim().is_empty() {
        summary_of(&body.html, &url)
    } else {
        let described = html::body(&description, Some(&base));
        body.picture = body.picture.or(described.picture);
        summary_of(&described.html, &url)
    };

    let title = from.title.as_ref().map(|t| words(t, atom)).filter(|t| !t.is_empty());
    let title = title.unwrap_or_else(|| html::shorten(&summary, 90));
    if title.is_empty() {
        return None;
    }
    let published = from.published.or(from.updated).map(|d| Moment::from_millis(d.timestamp_millis()));
    Some(Entry {
        guid,
        title: title.chars().take(500).collect(),
        author: author(&from.authors),
        section: from
            .categories
            .iter()
            .find_map(|c| c.label.as_deref().and_then(section_of).or_else(|| section_of(&c.term)))
            .map(str::to_owned),
        // Before there was a web there were no feeds: a date of 1970 means that there is none.
        published_at: published.filter(|p| p.millis() > 631_152_000_000),
        picture: picture(&from.media, &url).or(body.picture),
        body_html: Some(body.html).filter(|b| !b.is_empty()),
        language: from.language.as_deref().and_then(short_language),
        summary,
        url: url.into(),
    })
}

/// Where the article is read.
fn address(links: &[model::Link], guid: Option<&str>, feed_url: &Url) -> Option<Url> {
    let article = |l: &&model::Link| matches!(l.rel.as_deref(), None | Some("alternate"));
    let page = |l: &&model::Link| l.media_type.as_deref().is_none_or(|t| t.contains("html"));
    let chosen = links.iter().filter(article).find(page).or_else(|| links.iter().find(article));
    let url = match chosen {
        Some(link) => html::web_address(&link.href, Some(feed_url)),
        None => guid.and_then(|g| html::web_address(g, None)),
    };
    url.map(canonical)
}

/// The address by which an article is known.
pub(super) fn canonical(url: Url) -> Url {
    let mut url = html::without_tracking(url);
    url.set_fragment(None);
    url
}

/// A title in plain words. Only Atom says when a text has no markup; everyone else escapes once too often.
fn words(text: &model::Text, atom: bool) -> String {
    if atom && text.content_type.subty() == "plain" {
        html::one_line(&text.content)
    } else {
        html::plain(&text.content)
    }
}

/// A text as HTML, whatever it came as.
fn markup(text: String, is_plain: bool) -> String {
    if is_plain { html::paragraphs(&text) } else { text }
}

/// Names as printed, without the addresses that RSS puts beside them.
fn author(people: &[model::Person]) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for name in people.iter().filter_map(|p| p.name.as_deref()) {
        let name = html::plain(name);
        let name = name.strip_prefix("By ").or_else(|| name.strip_prefix("by ")).unwrap_or(&name);
        // RSS writes `address (name)`
        let name = name.trim().trim_start_matches('(').trim_end_matches(')').to_owned();
        if !name.is_empty() && !name.contains('@') && !names.contains(&name) {
            names.push(name);
        }
    }
    let names = names.join(", ");
    (!names.is_empty()).then(|| html::shorten(&names, 200))
}

/// The largest picture the feed names, with its caption.
fn picture(media: &[model::MediaObject], article: &Url) -> Option<Picture> {
    let mut best: Option<(u32, Picture)> = None;
    for object in media {
        let caption = || {
            object.description.as_ref().map(|d| html::shorten(&html::plain(&d.content), SUMMARY)).unwrap_or_default()
        };
        let shown = object.content.iter().filter_map(|c| {
            let url = c.url.as_ref()?;
            let path = url.path().to_ascii_lowercase();
            let image = match &c.content_type {
                Some(kind) => kind.ty() == "image",
                None => [".jpg", ".jpeg", ".png", ".webp", ".avif"].iter().any(|e| path.ends_with(e)),
            };
            image.then(|| (c.width.unwrap_or(1), url.to_string()))
        });
        let small = object.thumbnails.iter().map(|t| (t.image.width.unwrap_or(0), t.image.uri.clone()));
        for (width, url) in shown.chain(small) {
            let Some(url) = html::web_address(&url, Some(article)) else { continue };
            if best.as_ref().is_none_or(|(widest, _)| width > *widest) {
                best = Some((width, Picture { url: url.into(), caption: caption() }));
            }
        }
    }
    best.map(|(_, picture)| picture)
}

/// A sentence or two of a cleaned text, without the "read more" that points back at the article.
fn summary_of(body: &str, article: &Url) -> String {
    let mut body = without_plug(body).trim_end();
    loop {
        let open = body.trim_end_matches("</p>").trim_end();
        let Some(inner) = open.strip_suffix("</a>") else { break };
        let Some(start) = inner.rfind("<a href=\"") else { break };
        let href = inner[start + 9..].split('"').next().unwrap_or_default().replace("&amp;", "&");
        let words = html::plain(&inner[start..]).to_lowercase();
        // A feed's own links may go through a counter, and then only the words tell.
        let back = Url::parse(&href).is_ok_and(|u| canonical(u) == *article)
            || READ_MORE.iter().any(|phrase| words.starts_with(phrase));
        if !back || words.chars().count() > 40 {
            break;
        }
        body = inner[..start].trim_end();
    }
    let words = html::plain(body);
    let words = words.trim_end_matches("[…]").trim_end_matches("[...]").trim_end();
    html::shorten(words, SUMMARY)
}

/// A cleaned text without the line that the most used publishing system adds to each ("The post X appeared first on Y.").
fn without_plug(body: &str) -> &str {
    match body.rfind("<p>") {
        Some(at) if body[at..].starts_with("<p>The post <a ") && body[at..].contains(" appeared first on <a ") => {
            body[..at].trim_end()
        }
        _ => body,
    }
}

/// `en` of `en-GB`, `en_US`.
pub(super) fn short_language(language: &str) -> Option<String> {
    let first = language.trim().split(['-', '_']).next()?.to_ascii_lowercase();
    (matches!(first.len(), 2 | 3) && first.chars().all(|c| c.is_ascii_lowercase())).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_str(text: &str) -> Result<Document, FeedError> {
        // OK because it is a constant
        read(text.as_bytes(), None, &Url::parse("https://paper.example/rss/all.xml").unwrap())
    }

    fn rss(items: &str) -> String {
        format!(
            r#"<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:media="http://search.yahoo.com/mrss/"
            xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel><title>Paper &amp; Co</title><language>en-gb</language>{items}</channel></rss>"#
        )
    }

    fn one(item: &str) -> Entry {
        let mut document = read_str(&rss(&format!("<item>{item}</item>"))).unwrap();
        assert_eq!(document.entries.len(), 1);
        document.entries.remove(0)
    }

    #[test]
    fn an_entry_is_read_whole() {
        let entry = one(
            r#"<title>Fuel &amp;#8216;record&amp;#8217; &amp;amp; queues</title><link>/2026/fuel?utm_source=rss&amp;id=7#c</link>
            <guid isPermaLink="false">77</guid><dc:creator>By A. Writer</dc:creator><author>desk@paper.example (The Desk)</author>
            <category>Oil</category><category>Opinion</category><pubDate>Fri, 20 Nov 2026 08:00:00 +0300</pubDate>
            <media:content url="/fuel-small.jpg" width="120" type="image/jpeg"/>
            <media:content url="/fuel.jpg" width="1200" type="image/jpeg"><media:description>A &lt;b&gt;queue&lt;/b&gt;</media:description></media:content>
            <description><![CDATA[<p>Prices rose again. <a href="https://paper.example/2026/fuel?id=7">Read more</a></p>]]></description>
            <content:encoded><![CDATA[<p>Prices rose <a href="/x">again</a>.</p><script>x()</script>
            <p>The post <a href="https://paper.example/2026/fuel">Fuel</a> appeared first on <a href="https://paper.example">Paper</a>.</p>]]></content:encoded>"#,
        );
        assert_eq!(entry.title, "Fuel ‘record’ & queues");
        assert_eq!(entry.url, "https://paper.example/2026/fuel?id=7");
        assert_eq!(entry.guid.as_deref(), Some("77"));
        assert_eq!(entry.author.as_deref(), Some("A. Writer, The Desk"));
        assert_eq!(entry.section.as_deref(), Some("Opinion"));
        assert_eq!(entry.language.as_deref(), Some("en"));
        assert_eq!(entry.published_at.map(Moment::millis), Some(1_795_150_800_000));
        assert_eq!(entry.summary, "Prices rose again.");
        assert_eq!(
            entry.body_html.as_deref(),
            Some("<p>Prices rose <a href=\"https://paper.example/x\">again</a>.</p>")
        );
        assert_eq!(entry.picture.unwrap().url, "https://paper.example/fuel.jpg");
    }

    #[test]
    fn a_long_description_is_the_article_and_a_title_can_be_missing() {
        let text = "A sentence of the article. ".repeat(40);
        let entry =
            one(&format!("<link>https://paper.example/1</link><description>&lt;p&gt;{text}&lt;/p&gt;</description>"));
        assert!(entry.body_html.unwrap().len() > 1000);
        assert!(entry.title.starts_with("A sentence of the article."));
        assert!(entry.summary.len() < 330);
    }

    #[test]
    fn an_entry_without_an_address_is_counted_and_an_id_can_be_one() {
        let document = read_str(&rss(
            "<item><title>No address</title></item><item><title>Id</title><guid>https://paper.example/2</guid></item>",
        ))
        .unwrap();
        assert_eq!((document.entries.len(), document.unusable), (1, 1));
        assert_eq!(document.entries[0].url, "https://paper.example/2");
        assert_eq!(document.title.as_deref(), Some("Paper & Co"));
    }

    #[test]
    fn an_id_that_is_shared_is_no_id_and_an_address_comes_once() {
        let item = |n: u8, guid: &str| {
            format!("<item><title>T{n}</title><link>https://paper.example/{n}</link><guid>{guid}</guid></item>")
        };
        let document =
            read_str(&rss(&[item(1, "0"), item(2, "0"), item(3, "three"), item(3, "four")].concat())).unwrap();
        let guids: Vec<_> = document.entries.iter().map(|e| e.guid.as_deref()).collect();
        assert_eq!(guids, [None, None, Some("three")]);
    }

    #[test]
    fn what_is_not_a_feed_is_said_in_one_sentence() {
        let sentence = |text: &str| read_str(text).unwrap_err().to_string();
        assert_eq!(sentence(" \n"), "The address answered with nothing at all.");
        assert_eq!(
            sentence(
                "<!DOCTYPE html><html><head><link rel='alternate' type='application/rss+xml' href='/rss'></head></html>"
            ),
            "This is a web page, not a feed. The page says that its feed is https://paper.example/rss"
        );
        assert_eq!(sentence("<html><body>Hello</body></html>"), "This is a web page, not a feed.");
        assert_eq!(sentence("{\"a\": [1, 2]}"), "This is JSON, but not a JSON Feed.");
        assert_eq!(sentence("[1, 2"), "This is JSON, but not a JSON Feed.");
        assert_eq!(sentence("<svg xmlns='http://www.w3.org/2000/svg'/>"), "This is XML, but neither RSS nor Atom.");
        assert_eq!(sentence("\u{1f}\u{8b}garbage"), "This is neither RSS nor Atom nor a JSON Feed.");
        assert!(
            sentence("<rss version='2.0'><channel><item><title>x</tit")
                .starts_with("This looks like a feed, but it is broken: ")
        );
    }

    #[test]
    fn common_mistakes_are_mended() {
        for text in [
            "\n\n<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><item><title>A & B</title><link>https://a.example/?x=1&y=2</link></item></channel></rss>",
            "Warning: mysql_connect() in /var/www<br/>\n<?xml version='1.0'?><rss version='2.0'><channel><item><title>A &amp; B</title><link>https://a.example/?x=1&amp;y=2</link></item></channel></rss>",
            "<rss xmlns='http://backend.userland.com/rss2' version='2.0'><channel><item><title>A &amp; B</title><link>https://a.example/?x=1&amp;y=2</link></item></channel></rss>",
            "<rss><channel><item><title>A &amp; B</title><link>https://a.example/?x=1&amp;y=2</link></item></channel></rss>",
            "<rss version='2.00' a='b'><channel><item><title>A &amp; \u{8}B</title><link>https://a.example/?x=1&amp;y=2</link></item></channel></rss>",
        ] {
            let document = read_str(text).unwrap_or_else(|e| panic!("{e}: {text}"));
            assert_eq!(document.entries[0].title, "A & B");
            assert_eq!(document.entries[0].url, "https://a.example/?x=1&y=2");
        }
    }

    #[test]
    fn atom_and_json_feeds_are_feeds() {
        let atom = read_str(
            r#"<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="ru"><author><name>Редакция</name></author><entry><id>tag:1</id>
            <title type="text">Use of &lt;b&gt;</title><link rel="self" href="https://a.example/self"/><link href="https://a.example/1"/>
            <updated>2026-11-20T08:00:00Z</updated><content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Текст</p></div></content></entry></feed>"#,
        )
        .unwrap();
        let entry = &atom.entries[0];
        assert_eq!((entry.title.as_str(), entry.url.as_str()), ("Use of <b>", "https://a.example/1"));
        assert_eq!(entry.author.as_deref(), Some("Редакция"));
        assert_eq!((entry.body_html.as_deref(), entry.summary.as_str()), (Some("<p>Текст</p>"), "Текст"));
        let json = read_str(
            r#"{"version": "https://jsonfeed.org/version/1.1", "title": "J", "items": [{"id": "1", "url": "https://a.example/1", "title": "One",
            "content_text": "First.\n\nSecond <b>.", "date_published": "2026-11-20T08:00:00Z"}]}"#,
        )
        .unwrap();
        assert_eq!(json.entries[0].body_html.as_deref(), Some("<p>First.</p>\n<p>Second &lt;b&gt;.</p>"));
    }

    #[test]
    fn the_whole_text_of_russian_feeds_is_found() {
        let entry = one(r#"<title>Т</title><link>https://a.example/1</link><description>Кратко.</description>
            <yandex:full-text xmlns:yandex="http://news.yandex.ru">Первый абзац.&lt;br /&gt;&lt;br /&gt;Второй.</yandex:full-text>"#);
        assert_eq!(entry.summary, "Кратко.");
        assert!(entry.body_html.unwrap().contains("Второй"));
    }

    #[test]
    fn hostile_feeds_end() {
        let n = 20_000;
        let bomb = format!(
            "<!DOCTYPE r [{}]><rss version='2.0'><channel><item><title>&e9;</title><link>https://a.example/</link></item></channel></rss>",
            (1..10).map(|i| format!("<!ENTITY e{i} \"{}\">", format!("&e{};", i - 1).repeat(10))).collect::<String>()
        );
        let hostile = [
            bomb,
            format!("<rss version='2.0'>{}", "<channel>".repeat(n)),
            format!("<feed xmlns='http://www.w3.org/2005/Atom'><entry><content type='xhtml'>{}", "<div>".repeat(n)),
            format!("<rss version='2.0'><channel>{}", "<item><title>".repeat(n)),
            rss(&format!(
                "<item><link>https://a.example/1</link><description>{}</description></item>",
                "&lt;b&gt;&lt;i&gt;".repeat(n)
            )),
            format!("{{\"version\":\"https://jsonfeed.org/version/1\",\"items\":{}", "[".repeat(n)),
            "<rss".repeat(n),
            "<![CDATA[".repeat(n),
            "<rss version='2.0'>".to_owned() + &"&".repeat(n * 10),
            "<".repeat(n * 10),
        ];
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || {
                for text in hostile {
                    let _ = read_str(&text);
                }
            })
            .unwrap()
            .join()
            .unwrap();
    }

    #[tokio::test]
    async fn a_parser_that_panics_takes_nothing_along() {
        let lost = guarded(|| -> u8 { panic!("on purpose") }).await;
        assert_eq!(lost, Err(Lost::Panicked));
        assert_eq!(guarded(|| 1).await, Ok(1));
    }
}
