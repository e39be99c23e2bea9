//! The feed of a newsletter's issues (Atom, RFC 4287), for readers who would rather not give an address.

use crate::digest::markup::escaped;
use crate::digest::{Archived, body, markup, render};
use crate::newsroom::{Newsletter, Newsroom};
use crate::words::Words;
use std::fmt::Write;

/// The feed as XML; `issues` newest first.
pub fn atom(newsroom: &Newsroom, newsletter: &Newsletter, base_url: &str, issues: &[Archived]) -> String {
    let words = Words::of(newsletter.language);
    let home = format!("{base_url}/newsletters/{}", newsletter.slug);
    let title = words.say_with(
        "digest-feed-title",
        &[("newsletter", newsletter.name.as_str().into()), ("newsroom", newsroom.name.as_str().into())],
    );
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <feed xmlns=\"http://www.w3.org/2005/Atom\" xml:lang=\"{}\">\n\
         <id>{home}/feed.xml</id>\n<title>{}</title>\n\
         <link rel=\"self\" type=\"application/atom+xml\" href=\"{home}/feed.xml\"/>\n\
         <link rel=\"alternate\" type=\"text/html\" href=\"{home}/issues\"/>\n\
         <author><name>{}</name></author>\n<updated>{}</updated>\n",
        words.lang(),
        xml(&title),
        xml(&newsroom.name),
        // A feed must carry a date, even before the first issue.
        issues.first().map_or_else(|| "1970-01-01T00:00:00Z".to_owned(), |issue| issue.at.to_string()),
    );
    for issue in issues {
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "<entry>\n<id>{home}/issues/{number}</id>\n<title>{title}</title>\n\
             <link rel=\"alternate\" type=\"text/html\" href=\"{home}/issues/{number}\"/>\n\
             <updated>{at}</updated>\n<published>{at}</published>\n<summary>{summary}</summary>\n\
             <content type=\"html\">{content}</content>\n</entry>\n",
            number = issue.number,
            title = xml(&issue.subject),
            at = issue.at,
            summary = xml(&issue.preheader),
            content = xml(&content(&words, issue, base_url)),
        );
    }
    out.push_str("</feed>\n");
    out
}

fn content(words: &Words, issue: &Archived, base_url: &str) -> String {
    let mut html = markup::page(&body::from_markdown(&issue.introduction, &format!("{base_url}/")));
    for (section, entries) in issue.sections() {
        let _ = writeln!(html, "<h2>{}</h2>", escaped(&render::section_words(words, section)));
        for entry in entries {
            let _ = writeln!(html, "<h3><a href=\"{}\">{}</a></h3>", escaped(&entry.url), escaped(&entry.headline));
            if !entry.blurb.is_empty() {
                let _ = writeln!(html, "<p>{}</p>", escaped(&entry.blurb));
            }
        }
    }
    html
}

/// Escaped for XML, without the characters that XML 1.0 cannot hold.
fn xml(text: &str) -> String {
    let allowed = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars()
        .filter(allowed)
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect::<String>()
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
