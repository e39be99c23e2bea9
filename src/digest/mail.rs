//! The mails this room writes itself: a test of an issue, to somebody who works on it, and the welcome, to somebody who has
//! confirmed. What readers get as the digest is in `render`.

use crate::address::Address;
use crate::digest::colour::Accent;
use crate::digest::render::{self, Press, RenderedEdition};
use crate::digest::{Archived, Kept, calendar, squeezed, text};
use crate::mail::Message;
use crate::subscribers::Edition;
use crate::words::Words;
use askama::Template;

/// A test of one edition in one language. Its subject says that it is one, and of what.
pub fn test(rendered: &RenderedEdition, to: Address, from: String) -> Message {
    let words = Words::of(rendered.language);
    let which = words.say(match rendered.edition {
        Edition::Full => "digest-test-full",
        Edition::Links => "digest-test-links",
        Edition::Plain => "digest-test-plain",
    });
    Message {
        from: Some(from),
        to,
        subject: format!("[Test] {} ({which}, {})", rendered.subject, rendered.language.own_name()),
        text: rendered.text.clone(),
        html: rendered.html.clone(),
        headers: Vec::new(),
    }
}

/// What a welcome can say of the latest issue.
#[derive(Debug, Clone)]
pub enum Latest {
    /// There is none yet.
    None,
    /// It comes to the newcomer as a mail of its own.
    Coming,
    /// This is what is in it.
    Here(Archived),
}

/// Somebody who has confirmed.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// Their address.
    pub to: &'a Address,
    /// The catalogue of their language.
    pub words: Words,
    /// Whether sender and subject are to say little.
    pub discreet: bool,
    /// Whether they asked for text alone.
    pub plain: bool,
    /// Ends the subscription.
    pub unsubscribe: &'a str,
    /// Their choices.
    pub preferences: &'a str,
}

/// The one mail after a confirmation: they are in, when it comes, how to leave, and the latest issue. Sender and further
/// fields are the caller's to fill in.
pub fn welcome(press: Press<'_>, newcomer: &Newcomer<'_>, latest: &Latest) -> Result<Message, askama::Error> {
    let sheet = Welcome::new(press, newcomer, latest);
    Ok(Message {
        from: None,
        to: newcomer.to.clone(),
        subject: sheet.subject.clone(),
        text: render::spaced(&WelcomeText { s: &sheet }.render()?),
        html: if newcomer.plain { None } else { Some(WelcomeHtml { s: &sheet }.render()?) },
        headers: Vec::new(),
    })
}

#[derive(Template)]
#[template(path = "digest_welcome.html")]
struct WelcomeHtml<'a> {
    s: &'a Welcome<'a>,
}

#[derive(Template)]
#[template(path = "digest_welcome.txt", escape = "none")]
struct WelcomeText<'a> {
    s: &'a Welcome<'a>,
}

/// What the templates read.
struct Welcome<'a> {
    words: Words,
    /// ` lang="ru"` where the newsletter's language is not the mail's.
    content_attr: String,
    newsroom: &'a str,
    home: String,
    newsletter: &'a str,
    subject: String,
    lede: String,
    when: String,
    /// About an issue that is not shown.
    note: Option<String>,
    leave: String,
    issue: Option<Contents>,
    accent: Accent,
    serif: &'static str,
    sans: &'static str,
    unsubscribe: &'a str,
    preferences: &'a str,
    policy: String,
    why: String,
    address: String,
}

/// An issue's headlines.
struct Contents {
    subject: String,
    went_out: String,
    url: String,
    parts: Vec<Part>,
}

struct Part {
    name: String,
    lines: Vec<Line>,
}

struct Line {
    headline: String,
    url: String,
    lang_attr: String,
}

impl<'a> Welcome<'a> {
    fn new(press: Press<'a>, newcomer: &'a Newcomer<'_>, latest: &Latest) -> Welcome<'a> {
        let (newsroom, newsletter, base, words) = (press.newsroom, press.newsletter, press.base_url, newcomer.words);
        let named = |key: &str| words.say1(key, "newsletter", &newsletter.name);
        let why = words.say_with(
            "digest-why-you",
            &[("newsletter", newsletter.name.as_str().into()), ("newsroom", newsroom.name.as_str().into())],
        );
        Welcome {
            content_attr: render::lang_attr(newsletter.language.as_str(), words.lang()),
            newsroom: &newsroom.name,
            home: format!("{base}/"),
            newsletter: &newsletter.name,
            subject: match newcomer.discreet {
                true => words.say("subscribers-welcome-title"),
                false => named("digest-welcome-subject"),
            },
            lede: named("digest-welcome-lede"),
            when: calendar::at(&words, newsletter, ("digest-welcome-at-utc", "digest-welcome-at-place")),
            note: match latest {
                Latest::None => Some(calendar::none_yet(&words, newsletter, press.at)),
                Latest::Coming => Some(words.say("digest-welcome-on-its-way")),
                Latest::Here(_) => None,
            },
            leave: words.say("digest-welcome-leave"),
            issue: match latest {
                Latest::Here(issue) => Some(Contents::new(press, &words, issue)),
                _ => None,
            },
            accent: Accent::of(&newsroom.accent),
            serif: render::SERIF,
            sans: render::SANS,
            unsubscribe: newcomer.unsubscribe,
            preferences: newcomer.preferences,
            policy: render::policy(newsroom, base),
            why: format!("{why} {}", words.say("digest-no-tracking")),
            address: render::address_line(newsroom),
            words,
        }
    }

    fn paragraphs(&self) -> Vec<&str> {
        [Some(&self.lede), Some(&self.when), self.note.as_ref(), Some(&self.leave)]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .collect()
    }

    fn wrap(&self, text: &str) -> String {
        text::wrapped(text)
    }

    fn underlined(&self, title: &str) -> String {
        text::underlined(title, '=')
    }
}

impl Contents {
    fn new(press: Press<'_>, words: &Words, issue: &Archived) -> Contents {
        let newsletter = press.newsletter;
        let line = |entry: &&Kept| {
            let own = if entry.language.is_empty() { newsletter.language.as_str() } else { &entry.language };
            Line {
                headline: entry.headline.clone(),
                url: entry.url.clone(),
                lang_attr: render::lang_attr(own, words.lang()),
            }
        };
        let part = |(name, entries): (&str, Vec<&Kept>)| Part {
            name: render::section_words(words, name),
            lines: entries.iter().map(line).collect(),
        };
        Contents {
            subject: squeezed(&issue.subject),
            went_out: render::went_out(words, issue, &newsletter.zone()),
            url: format!("{}/newsletters/{}/issues/{}", press.base_url, newsletter.slug, issue.number),
            parts: issue.sections().into_iter().map(part).collect(),
        }
    }
}
