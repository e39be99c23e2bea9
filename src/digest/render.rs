//! From an issue to the mails that go out: pure, no database, no clock, so that a preview, a test and the freeze give the
//! same bytes.
//!
//! Every text that comes from outside is taken apart into [`body::Block`]s and written anew, and each written piece is
//! [`scrubbed`] of the two marks before ours are put in: a feed that says `FRIDAY-UNSUBSCRIBE-LINK` gets that text into a
//! mail, not a reader's link. The finished mail is counted once more, and one with a mark too many is an error.

use crate::clock::Moment;
use crate::digest::body::{self, Block};
use crate::digest::colour::Accent;
use crate::digest::{Archived, Entry, Issue, PREFERENCES_MARK, SECTIONS, UNSUBSCRIBE_MARK, markup, sections, text};
use crate::newsroom::{Newsletter, Newsroom};
use crate::subscribers::Edition;
use crate::words::{Language, Words};
use askama::Template;
use sha2::{Digest, Sha256};

/// Why an issue cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template failed.
    #[error("the template of the {edition} edition in {language} failed: {source}. The issue is unchanged")]
    Template {
        /// Which edition.
        edition: &'static str,
        /// In which language.
        language: &'static str,
        /// What the template engine says.
        source: askama::Error,
    },
    /// A mail does not have exactly the marks that it should have.
    #[error("the {edition} edition in {language} has {found} marks for a reader's own links where {expected} belong")]
    Marks {
        /// Which edition.
        edition: &'static str,
        /// In which language.
        language: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
}

/// What surrounds an issue: whose it is, where the site is, and the date it carries.
#[derive(Debug, Clone, Copy)]
pub struct Press<'a> {
    /// The newsroom.
    pub newsroom: &'a Newsroom,
    /// The newsletter the issue belongs to.
    pub newsletter: &'a Newsletter,
    /// The site's address, without a slash at its end.
    pub base_url: &'a str,
    /// When it goes out.
    pub at: Moment,
}

/// One edition of an issue in one language, ready but for the reader's own links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedEdition {
    /// Which edition.
    pub edition: Edition,
    /// The language of the frame.
    pub language: Language,
    /// Whether the support ask is in it.
    pub with_ask: bool,
    /// The mail's subject.
    pub subject: String,
    /// The preheader.
    pub preheader: String,
    /// The HTML part; the plain edition has none.
    pub html: Option<String>,
    /// The text part.
    pub text: String,
}

impl RenderedEdition {
    /// SHA-256 over subject, HTML and text, each with its length before it.
    pub fn hash(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        for part in [&self.subject, self.html.as_ref().unwrap_or(&String::new()), &self.text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().to_vec()
    }

    /// The size of what a mail program shows, in bytes.
    pub fn size(&self) -> usize {
        self.html.as_ref().map_or(self.text.len(), String::len)
    }

    /// The same with the two marks replaced.
    pub fn with_links(&self, unsubscribe: &str, preferences: &str) -> RenderedEdition {
        let put = |text: &str| text.replace(UNSUBSCRIBE_MARK, unsubscribe).replace(PREFERENCES_MARK, preferences);
        let escaped = (markup::escaped(unsubscribe), markup::escaped(preferences));
        let html = self.html.as_ref();
        RenderedEdition {
            html: html.map(|h| h.replace(UNSUBSCRIBE_MARK, &escaped.0).replace(PREFERENCES_MARK, &escaped.1)),
            text: put(&self.text),
            ..self.clone()
        }
    }
}

/// Every edition in every language, with and without the support ask.
pub fn editions(press: Press<'_>, issue: &Issue, entries: &[Entry]) -> Result<Vec<RenderedEdition>, RenderError> {
    let mut all = Vec::new();
    for edition in [Edition::Full, Edition::Links, Edition::Plain] {
        for language in Language::ALL {
            for with_ask in [true, false] {
                all.push(self::edition(press, issue, entries, edition, language, with_ask)?);
            }
        }
    }
    Ok(all)
}

/// One edition.
pub fn edition(
    press: Press<'_>,
    issue: &Issue,
    entries: &[Entry],
    edition: Edition,
    language: Language,
    with_ask: bool,
) -> Result<RenderedEdition, RenderError> {
    let full = edition == Edition::Full;
    let sheet = Sheet::new(press, issue, entries, language, with_ask);
    let failed = |source| RenderError::Template { edition: edition.as_str(), language: language.as_str(), source };
    let text = TextPart { s: &sheet, full }.render().map_err(failed)?;
    let html = match edition {
        Edition::Plain => None,
        Edition::Full | Edition::Links => Some(HtmlPart { s: &sheet, full }.render().map_err(failed)?),
    };
    let text = spaced(&text);
    let (in_html, in_text) = sheet.introduction.marks;
    for (part, own) in [(Some(&text), in_text), (html.as_ref(), in_html)] {
        let Some(part) = part else { continue };
        let found = part.matches(UNSUBSCRIBE_MARK).count() + part.matches(PREFERENCES_MARK).count();
        let expected = 2 + own;
        if found != expected {
            return Err(RenderError::Marks { edition: edition.as_str(), language: language.as_str(), found, expected });
        }
    }
    Ok(RenderedEdition { edition, language, with_ask, subject: sheet.subject, preheader: sheet.preheader, html, text })
}

/// The typefaces of mails: what is there on every machine.
pub(super) const SERIF: &str = "Georgia,'Times New Roman',serif";
/// For what is not read at length.
pub(super) const SANS: &str = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";

/// At most two empty lines in a row, no spaces at line ends but in the `-- ` before the foot (RFC 3676, 4.3).
pub(super) fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let line = if line == "-- " { line } else { line.trim_end_matches(' ') };
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty <= 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Takes the marks apart in text that is not ours.
pub fn scrubbed(text: &str) -> String {
    if !text.contains("FRIDAY-") {
        return text.to_owned();
    }
    let broken = |mark: &str| mark.replace('-', " ");
    text.replace(UNSUBSCRIBE_MARK, &broken(UNSUBSCRIBE_MARK)).replace(PREFERENCES_MARK, &broken(PREFERENCES_MARK))
}

#[derive(Template)]
#[template(path = "digest_issue.html")]
struct HtmlPart<'a> {
    s: &'a Sheet,
    full: bool,
}

#[derive(Template)]
#[template(path = "digest_issue.txt")]
struct TextPart<'a> {
    s: &'a Sheet,
    full: bool,
}

/// A text in both forms.
#[derive(Default)]
struct Both {
    html: String,
    text: String,
    /// How many of our own marks are in the HTML and in the text.
    marks: (usize, usize),
}

/// What the templates read.
struct Sheet {
    words: Words,
    lang: &'static str,
    /// ` lang="ru"` where the newsletter's language is not the frame's.
    content_attr: String,
    newsroom: String,
    home: String,
    newsletter: String,
    number: Option<String>,
    folio: String,
    date: String,
    web: Option<String>,
    subject: String,
    title_text: String,
    preheader: String,
    filler: String,
    accent: Accent,
    serif: &'static str,
    sans: &'static str,
    introduction: Both,
    parts: Vec<Part>,
    /// Whether every article is here in full.
    whole: bool,
    ask: Option<Ask>,
    ask_first: bool,
    unsubscribe: &'static str,
    preferences: &'static str,
    policy: String,
    why: String,
    why_text: String,
    address: String,
    address_text: String,
}

struct Part {
    name: String,
    heading_text: String,
    entries: Vec<Row>,
    ask: bool,
}

struct Row {
    id: String,
    headline: String,
    headline_text: String,
    url: String,
    byline: String,
    byline_text: String,
    blurb: String,
    blurb_text: String,
    lead: bool,
    lang_attr: String,
    has_body: bool,
    body: Both,
}

struct Ask {
    appeal: Both,
    lang_attr: String,
    url: String,
    button: String,
    warning: String,
    warning_text: String,
    why: String,
}

impl Sheet {
    fn new(press: Press<'_>, issue: &Issue, entries: &[Entry], language: Language, with_ask: bool) -> Sheet {
        let words = Words::of(language);
        let (newsletter, newsroom, base) = (press.newsletter, press.newsroom, press.base_url);
        let zone = newsletter.zone();
        let accent = Accent::of(&newsroom.accent);
        let number = issue.number.map(|n| words.say1("digest-number", "number", &n.to_string()));
        let short_date = day_month(&words, press.at, &zone, true);
        let subject = scrubbed(&super::subject(issue, entries, &newsletter.name));
        let why = words.say_with(
            "digest-why-you",
            &[("newsletter", newsletter.name.as_str().into()), ("newsroom", newsroom.name.as_str().into())],
        );
        let sections = sections(entries);
        let count = sections.len() as i64;
        let ask_after = issue.ask_after.filter(|_| with_ask).map(|after| after.clamp(0, count));
        let frame = Frame { words, accent: &accent, newsletter, zone: &zone };
        let mut at = 0;
        let parts = sections.into_iter().enumerate().map(|(nth, (name, inside))| {
            let name = section_words(&words, &name);
            Part {
                heading_text: text::underlined(&scrubbed(&name.to_uppercase()), '-'),
                name: scrubbed(&name),
                ask: ask_after == Some(nth as i64 + 1),
                entries: inside
                    .iter()
                    .map(|entry| {
                        at += 1;
                        frame.row(entry, at)
                    })
                    .collect(),
            }
        });
        let parts: Vec<Part> = parts.collect();
        let preferences_page = format!("{base}/preferences");
        Sheet {
            lang: words.lang(),
            content_attr: lang_attr(newsletter.language.as_str(), words.lang()),
            newsroom: newsroom.name.clone(),
            home: format!("{base}/"),
            newsletter: newsletter.name.clone(),
            folio: number.as_ref().map_or(short_date.clone(), |number| format!("{number}, {short_date}")),
            number,
            date: begun(&words.date(press.at, &zone)),
            web: issue.number.map(|number| format!("{base}/newsletters/{}/issues/{number}", newsletter.slug)),
            title_text: text::underlined(&subject, '='),
            preheader: scrubbed(&super::preheader(issue, entries)),
            subject,
            // Keeps mail programs from filling the preview line with what follows.
            filler: "&#847;&zwnj;&nbsp;".repeat(30),
            introduction: introduction(&issue.introduction, base, &preferences_page, &accent),
            ask: ask_after.map(|_| frame.ask(press)),
            ask_first: ask_after == Some(0),
            whole: parts.iter().flat_map(|part| &part.entries).all(|entry| entry.has_body),
            parts,
            unsubscribe: UNSUBSCRIBE_MARK,
            preferences: PREFERENCES_MARK,
            policy: policy(newsroom, base),
            why_text: text::wrapped(&format!("{why} {}", words.say("digest-no-tracking"))),
            why,
            address: address_line(newsroom),
            address_text: text::wrapped(&super::squeezed(&newsroom.postal_address)),
            serif: SERIF,
            sans: SANS,
            accent,
            words,
        }
    }
}

/// What every part of a sheet needs to know.
struct Frame<'a> {
    words: Words,
    accent: &'a Accent,
    newsletter: &'a Newsletter,
    zone: &'a jiff::tz::TimeZone,
}

impl Frame<'_> {
    fn row(&self, entry: &Entry, at: usize) -> Row {
        let piece = &entry.piece;
        let blocks = body::from_html(&piece.body_html, &piece.url);
        let language = if piece.language.is_empty() { self.newsletter.language.as_str() } else { &piece.language };
        let headline = scrubbed(&super::squeezed(entry.headline()));
        let byline = scrubbed(&byline(&self.words, &piece.author, piece.published_at, self.zone));
        let blurb = scrubbed(&entry.blurb());
        Row {
            id: format!("a{at}"),
            headline_text: text::wrapped(&headline),
            byline_text: text::wrapped(&byline),
            blurb_text: text::wrapped(&blurb),
            lead: at == 1,
            lang_attr: lang_attr(language, self.words.lang()),
            has_body: !blocks.is_empty(),
            body: self.both(&blocks, 14),
            url: scrubbed(&piece.url),
            headline,
            byline,
            blurb,
        }
    }

    fn both(&self, blocks: &[Block], gap: u32) -> Both {
        let written = text::write(blocks);
        let mut plain = written.text;
        if !written.links.is_empty() {
            plain.push_str(&format!("\n\n{}", self.words.say("digest-links-of")));
            for (at, link) in written.links.iter().enumerate() {
                plain.push_str(&format!("\n[{}] {link}", at + 1));
            }
        }
        let html = markup::mail(blocks, markup::Look { link: &self.accent.light, gap });
        Both { html: scrubbed(&html), text: scrubbed(&plain), marks: (0, 0) }
    }

    fn ask(&self, press: Press<'_>) -> Ask {
        let (words, newsroom, base) = (self.words, press.newsroom, press.base_url);
        let (markdown, own) = appeal(press, &words);
        let warning = unsafe_countries(&words, &newsroom.unsafe_countries);
        Ask {
            appeal: self.both(&body::from_markdown(&markdown, &format!("{base}/")), 8),
            lang_attr: if own { lang_attr(self.newsletter.language.as_str(), words.lang()) } else { String::new() },
            url: format!("{base}/support"),
            button: words.say(ask_button(newsroom)),
            warning_text: text::wrapped(&warning),
            warning,
            why: format!("{base}/support/safety"),
        }
    }
}

/// The introduction; a link in it to our own preferences page becomes the reader's own.
fn introduction(markdown: &str, base: &str, preferences_page: &str, accent: &Accent) -> Both {
    let blocks = body::from_markdown(markdown, &format!("{base}/"));
    // A character that no text brings along stands for the mark until everything else has been scrubbed.
    const OURS: &str = "\u{e000}";
    let blocks = mapped(blocks, &mut |span| {
        span.text = span.text.replace(OURS, "");
        span.link = span
            .link
            .take()
            .map(|link| if link == preferences_page { OURS.to_owned() } else { link.replace(OURS, "") });
    });
    let html = scrubbed(&markup::mail(&blocks, markup::Look { link: &accent.light, gap: 9 }));
    let written = text::write(&blocks);
    let mut plain = scrubbed(&written.text);
    for (at, link) in written.links.iter().enumerate() {
        plain.push_str(&format!("{}[{}] {}", if at == 0 { "\n\n" } else { "\n" }, at + 1, scrubbed(link)));
    }
    let marks = (html.matches(OURS).count(), plain.matches(OURS).count());
    Both { html: html.replace(OURS, PREFERENCES_MARK), text: plain.replace(OURS, PREFERENCES_MARK), marks }
}

fn mapped(blocks: Vec<Block>, change: &mut impl FnMut(&mut body::Span)) -> Vec<Block> {
    let mut blocks = blocks;
    for block in &mut blocks {
        match block {
            Block::Paragraph(line) | Block::Heading(line) | Block::Caption(line) => {
                line.iter_mut().for_each(&mut *change)
            }
            Block::Quote(inner) => *inner = mapped(std::mem::take(inner), change),
            Block::List { items, .. } => {
                for item in items {
                    *item = mapped(std::mem::take(item), change);
                }
            }
            Block::Preformatted(_) | Block::Rule => {}
        }
    }
    blocks
}

/// The support ask in Markdown, and whether it is the newsroom's own, which is in its newsletter's language.
pub fn appeal(press: Press<'_>, words: &Words) -> (String, bool) {
    let support = &press.newsroom.support;
    if let Some(own) = support.appeal.as_deref().filter(|appeal| !appeal.trim().is_empty()) {
        return (own.to_owned(), true);
    }
    let least =
        support.currencies.first().map(|currency| currency.money(currency.minimum.monthly).display(words.language()));
    let text = least.map(|least| words.say1("digest-ask-text", "minimum", &least)).unwrap_or_default();
    (format!("**{}** {text}", words.say("digest-ask-lead")), false)
}

/// The key of the button's words: a charity may say "donate".
pub fn ask_button(newsroom: &Newsroom) -> &'static str {
    if newsroom.support.word == "donate" { "digest-ask-donate" } else { "digest-ask-button" }
}

/// The privacy policy's address: the newsroom's own, or the page that says the essentials.
pub fn policy(newsroom: &Newsroom, base: &str) -> String {
    newsroom.privacy_policy.clone().unwrap_or_else(|| format!("{base}/privacy"))
}

/// The newsroom and its postal address, on one line.
pub(super) fn address_line(newsroom: &Newsroom) -> String {
    match newsroom.postal_address.trim() {
        "" => newsroom.name.clone(),
        address => format!("{}, {}", newsroom.name, super::squeezed(address)),
    }
}

/// "No. 42 went out on 17 October".
pub(super) fn went_out(words: &Words, issue: &Archived, zone: &jiff::tz::TimeZone) -> String {
    let date = day_month(words, issue.at, zone, false);
    words.say_with("digest-went-out", &[("number", issue.number.to_string().into()), ("date", date.into())])
}

/// ` lang="…"` for a piece whose language is not the one around it.
pub fn lang_attr(language: &str, around: &str) -> String {
    let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_lowercase();
    let fits = language.len() <= 35 && language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if language.is_empty() || !fits || primary(language) == primary(around) {
        return String::new();
    }
    format!(" lang=\"{language}\"")
}

/// A section's name as readers see it.
pub fn section_words(words: &Words, name: &str) -> String {
    if SECTIONS.contains(&name) {
        words.say(&format!("digest-section-{}", name.to_lowercase()))
    } else {
        name.to_owned()
    }
}

/// "17 October", with the year where asked.
pub fn day_month(words: &Words, at: Moment, zone: &jiff::tz::TimeZone, year: bool) -> String {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let date = at.to_jiff().to_zoned_datetime(zone.clone());
    // OK because a month is 1 to 12.
    let month = words.say(&format!("month-{}", MONTHS[date.month() as usize - 1]));
    let key = if year { "digest-day-month-year" } else { "digest-day-month" };
    words.say_with(
        key,
        &[("day", date.day().to_string().into()), ("month", month.into()), ("year", date.year().to_string().into())],
    )
}

/// A text that begins a line: with a capital.
pub fn begun(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// "M. Orlova, 13 October", or what of it is known.
pub fn byline(words: &Words, author: &str, published: Moment, zone: &jiff::tz::TimeZone) -> String {
    let author = super::squeezed(author);
    let date = day_month(words, published, zone, false);
    if author.is_empty() {
        return date;
    }
    words.say_with("digest-byline", &[("author", author.into()), ("date", date.into())])
}

/// "Please do not give from Russia or Belarus." Countries that we have no word for make it general.
pub fn unsafe_countries(words: &Words, codes: &[String]) -> String {
    let names: Vec<String> = codes
        .iter()
        .filter_map(|code| match code.to_ascii_uppercase().as_str() {
            "RU" => Some(words.say("digest-country-ru")),
            "BY" => Some(words.say("digest-country-by")),
            _ => None,
        })
        .collect();
    if codes.is_empty() {
        String::new()
    } else if names.len() == codes.len() {
        words.say1("digest-ask-not-from", "countries", &names.join(&format!(" {} ", words.say("digest-or"))))
    } else {
        words.say("digest-ask-danger")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{ASK_LAST, Piece, State};

    fn at(text: &str) -> Moment {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn newsroom() -> Newsroom {
        Newsroom::from_toml(
            "name = \"The Valley Post\"\npostal_address = \"1 Mill Lane, Valley\"\n\
             [[newsletters]]\nslug = \"friday\"\nname = \"The Friday digest\"\ntime_zone = \"Europe/Amsterdam\"\n",
        )
        .unwrap()
    }

    fn issue() -> Issue {
        Issue {
            id: 1,
            newsletter: "friday".into(),
            number: Some(42),
            state: State::Draft,
            subject: "Rain & \"snow\" <again>".into(),
            preheader: String::new(),
            introduction: "Good **morning**. <script>x</script> [Settings](preferences), [the same](preferences)."
                .into(),
            ask_after: Some(1),
            scheduled_at: None,
            frozen_at: None,
            finished_at: None,
            tested_at: None,
            changed_at: at("2025-10-17T06:00:00Z"),
        }
    }

    fn entry(id: i64, section: &str, title: &str, body: &str) -> Entry {
        Entry {
            article_id: id,
            section: section.into(),
            headline: None,
            blurb: None,
            piece: Piece {
                url: format!("https://post.example/{id}?a=1&b=2"),
                title: title.into(),
                author: "M. Orlova".into(),
                published_at: at("2025-10-15T22:30:00Z"),
                summary: "A summary.".into(),
                body_html: body.into(),
                language: String::new(),
            },
        }
    }

    fn entries() -> Vec<Entry> {
        vec![
            entry(3, "Opinion", "A view", ""),
            entry(
                1,
                "News",
                "The first <b>headline</b>",
                "<p>Body &amp; more.</p><figure><img src='https://t.example/pixel.gif'><figcaption>A ferry. M. Orlova</figcaption></figure>",
            ),
            entry(2, "News", "The second", "<p>See <a href='/more'>more</a> of it.</p>"),
        ]
    }

    fn all(issue: &Issue, entries: &[Entry]) -> Vec<RenderedEdition> {
        let newsroom = newsroom();
        let press = Press {
            newsroom: &newsroom,
            newsletter: &newsroom.newsletters[0],
            base_url: "https://friday.example",
            at: at("2025-10-17T06:00:00Z"),
        };
        editions(press, issue, entries).unwrap()
    }

    fn one(issue: &Issue, entries: &[Entry], edition: Edition, language: Language) -> RenderedEdition {
        all(issue, entries).into_iter().find(|e| e.edition == edition && e.language == language && e.with_ask).unwrap()
    }

    #[test]
    fn there_are_twelve_editions_and_the_plain_ones_are_text_alone() {
        let all = all(&issue(), &entries());
        assert_eq!(all.len(), 12);
        assert!(all.iter().all(|e| e.html.is_none() == (e.edition == Edition::Plain)));
        let hashes: std::collections::HashSet<_> = all.iter().map(RenderedEdition::hash).collect();
        assert_eq!(hashes.len(), 12);
    }

    #[test]
    fn nothing_in_a_mail_is_loaded_from_anywhere() {
        for edition in all(&issue(), &entries()) {
            let html = edition.html.unwrap_or_default().to_lowercase();
            for forbidden in ["<img", "<script", "src=", "url(", "@import", "@font-face", "<link", "<form", "pixel.gif"]
            {
                assert!(!html.contains(forbidden), "{forbidden}");
            }
        }
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let html = one(&issue(), &entries(), Edition::Full, Language::En).html.unwrap();
        assert!(html.contains("<h1 class=\"h1 ink\"") && html.contains("Rain &#38; &#34;snow&#34; &#60;again&#62;"));
        assert!(html.contains("&lt;script&gt;x&lt;/script&gt;"));
        assert!(html.contains("The first &#60;b&#62;headline&#60;/b&#62;"));
        assert!(html.contains("href=\"https://post.example/1?a=1&#38;b=2\""));
        assert!(html.contains("A ferry. M. Orlova"));
    }

    #[test]
    fn no_feed_gets_a_readers_own_link() {
        let mut hostile = entries();
        let trick = "<a href='https://evil.example/?u=FRIDAY-UNSUBSCRIBE-LINK'>x</a> FRIDAY-PREFERENCES&#45;LINK <b>FRIDAY-</b>UNSUBSCRIBE-LINK";
        hostile[0].piece.body_html = format!("<p>{trick}</p>");
        hostile[0].piece.title = UNSUBSCRIBE_MARK.into();
        hostile[0].piece.summary = PREFERENCES_MARK.into();
        hostile[0].piece.author = UNSUBSCRIBE_MARK.into();
        hostile[0].piece.url = format!("https://evil.example/{UNSUBSCRIBE_MARK}");
        hostile[0].section = UNSUBSCRIBE_MARK.into();
        let issue = Issue { subject: String::new(), introduction: trick.into(), ..issue() };
        for edition in all(&issue, &hostile) {
            for part in [edition.html.unwrap_or_default(), edition.text] {
                assert!(part.matches(UNSUBSCRIBE_MARK).count() <= 1, "{part}");
                assert!(part.matches(PREFERENCES_MARK).count() <= 1, "{part}");
            }
        }
    }

    #[test]
    fn the_words_preferences_lead_to_the_readers_own_settings() {
        let links = one(&issue(), &entries(), Edition::Links, Language::En);
        // Two in the introduction and one in the foot; in text a link is told once.
        assert_eq!(links.html.as_ref().unwrap().matches(PREFERENCES_MARK).count(), 3);
        assert_eq!(links.text.matches(PREFERENCES_MARK).count(), 2);
        let sent = links.with_links("https://f.example/u/1?a&b", "https://f.example/p/1");
        assert!(!sent.html.as_ref().unwrap().contains("FRIDAY-") && !sent.text.contains("FRIDAY-"));
        assert!(sent.html.unwrap().contains("https://f.example/u/1?a&amp;b"));
    }

    #[test]
    fn text_lines_are_short_and_in_order() {
        let mut long = entries();
        long[1].piece.summary = "Слово за слово. ".repeat(30);
        for edition in all(&issue(), &long) {
            for line in edition.text.lines() {
                assert!(
                    line.chars().count() <= 72 || line.contains("http") || line.contains(UNSUBSCRIBE_MARK),
                    "{line}"
                );
                assert!(line == "-- " || !line.ends_with(' '), "{line:?}");
            }
            let place = |what: &str| edition.text.find(what).unwrap();
            assert!(place("The first") < place("The second") && place("The second") < place("A view"));
        }
        let text = one(&issue(), &long, Edition::Links, Language::En).text;
        let place = |what: &str| text.find(what).unwrap();
        assert!(
            place("The second") < place("* * *") && place("* * *") < place("OPINION"),
            "the ask stands after one section"
        );
    }

    #[test]
    fn the_frame_speaks_the_readers_language_and_the_text_says_which_it_is_in() {
        let russian = one(&issue(), &entries(), Edition::Links, Language::Ru);
        let html = russian.html.unwrap();
        assert!(html.contains("<html lang=\"ru\""), "lang");
        assert!(html.contains("<h1"), "h1");
        assert!(html.contains("Новости"), "{html}");
        assert!(html.contains(" lang=\"en\""));
        assert!(russian.text.contains("№\u{a0}42") && russian.text.contains("16 октября"), "{}", russian.text);
        assert!(!one(&issue(), &entries(), Edition::Links, Language::En).html.unwrap().contains("lang=\"ru\""));
    }

    #[test]
    fn a_reader_who_wants_no_ask_gets_none() {
        for edition in all(&issue(), &entries()) {
            let has = edition.text.contains("https://friday.example/support");
            assert_eq!(has, edition.with_ask);
            assert_eq!(
                edition.html.is_some_and(|html| html.contains("/support\"")),
                has && edition.edition != Edition::Plain
            );
        }
        let without = Issue { ask_after: None, ..issue() };
        assert!(all(&without, &entries()).iter().all(|e| !e.text.contains("/support")));
        let last = Issue { ask_after: Some(ASK_LAST), ..issue() };
        let text = one(&last, &entries(), Edition::Plain, Language::En).text;
        assert!(text.find("A view").unwrap() < text.find("* * *").unwrap());
    }

    #[test]
    fn an_issue_of_words_alone_is_a_mail() {
        let words = Issue { subject: String::new(), introduction: "Back next week.".into(), ..issue() };
        let mail = one(&words, &[], Edition::Full, Language::En);
        assert_eq!(mail.subject, "The Friday digest");
        assert!(mail.text.contains("Back next week."));
        assert_eq!(mail.preheader, "");
    }
}
