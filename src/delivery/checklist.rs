//! What to look at before an issue goes out, line by line: each says in one sentence how it is.
//!
//! Nothing here forbids a send. A newsroom may have good reasons to send at once what has a broken link in it; but whoever
//! does should have been told. What is quick is looked at each time; links and the sender's records are looked at when
//! somebody asks for it ([`super::probe`]), and until then a line says that they were not.

use super::acts::{self, ActError};
use super::letters::{Hand, LetterError, MARKS};
use super::mail::Body;
use super::probe::{self, Found};
use super::wording::number;
use crate::address::Address;
use crate::app::Shared;
use crate::clock::Moment;
use crate::digest::links::{self, Link};
use crate::digest::proof::{Proof, ProofError};
use crate::digest::render::RenderedEdition;
use crate::digest::{
    self, CLIPPED_BYTES, Entry, Issue, PREFERENCES_MARK, UNSUBSCRIBE_MARK, WARN_BYTES, preheader, subject,
};
use crate::finding::{Finding, State};
use crate::subscribers::{self, Edition};
use crate::words::Language;
use std::sync::Arc;
use std::time::Duration;

/// A subject that is longer is cut off by most programs.
const SUBJECT: usize = 70;
/// How long what was found out about links and records is worth something.
const FRESH: Duration = Duration::from_secs(12 * 3600);
/// How many articles a sentence names.
const NAMED: usize = 5;
/// Nobody has this id: ids are random, and this one is kept for the sample letter.
const SAMPLE: i64 = 1;

/// What templates and text programs leave behind where a value was to be put in.
const LEFTOVERS: [&str; 16] = [
    UNSUBSCRIBE_MARK,
    PREFERENCES_MARK,
    "{{",
    "}}",
    "{%",
    "%}",
    "[[",
    "]]",
    "*|",
    "|*",
    "%%",
    "TODO",
    "FIXME",
    "TKTK",
    "XXXX",
    "Lorem ipsum",
];
/// Subjects that nobody means.
const PLACEHOLDERS: [&str; 8] = ["test", "testing", "draft", "untitled", "no subject", "subject", "тест", "черновик"];

/// The checklist of an issue.
#[derive(Debug, Clone, Default)]
pub struct Checklist {
    /// The lines, the worst first.
    pub findings: Vec<Finding>,
    /// The links of the issue that were asked, in the order of the mail.
    pub links: Vec<Link>,
    /// How many links were asked so far and how many there are, while that goes on.
    pub running: Option<(usize, usize)>,
    /// When links and records were last looked at.
    pub at: Option<Moment>,
}

impl Checklist {
    /// How many lines are in a state.
    pub fn count(&self, state: State) -> usize {
        self.findings.iter().filter(|finding| finding.state == state).count()
    }

    /// The links that do not answer as they should.
    pub fn troubled(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.state != State::Ok)
    }
}

/// What is quick to see, of an issue as it is now. A page that looks again and again keeps it as long as the issue stays.
#[derive(Debug, Clone)]
pub struct Quick {
    findings: Vec<Finding>,
    links: Vec<String>,
    changed_at: Moment,
    tested_at: Option<Moment>,
}

impl Quick {
    /// Whether it is still about this issue as it is.
    pub fn is_of(&self, issue: &Issue) -> bool {
        (self.changed_at, self.tested_at) == (issue.changed_at, issue.tested_at)
    }
}

/// The whole checklist, links and records too.
pub async fn whole(app: &Shared, id: i64) -> Result<Checklist, ActError> {
    let issue = acts::issue(app, id).await?;
    if !issue.state.is_open() {
        return Err(ActError::State { id, state: issue.state, why: "the checklist is for what has not gone out" });
    }
    probe::look(app, id).await?;
    Ok(with_found(app, &quick(app, id).await?, id))
}

/// Looks at all that is quick.
pub async fn quick(app: &Shared, id: i64) -> Result<Quick, ActError> {
    let proof = Proof::of(app, id).await?;
    let sent = digest::store::sent_in(&app.db, &proof.issue.newsletter, id).await?;
    let mut findings = vec![content(&proof), said(&proof), repeated(&proof.entries, &sent), tested(&proof.issue)];
    findings.extend(leftovers(&proof));
    findings.extend(address(app));
    let (editions, links) = match rendered(&proof).and_then(|all| Ok((all, links::of(&proof, &app.config.base_url)?))) {
        Ok(both) => both,
        Err(error) => {
            findings.push(Finding::bad("editions", ProofError::from(error).to_string(), "The issue cannot go out so."));
            (Vec::new(), Vec::new())
        }
    };
    if !editions.is_empty() {
        findings.extend([pictures(&editions), size(&editions), text_part(&editions), leaving(app, &proof, &editions)]);
    }
    Ok(Quick { findings, links, changed_at: proof.issue.changed_at, tested_at: proof.issue.tested_at })
}

/// Adds what this process has found out about links and records.
pub fn with_found(app: &Shared, quick: &Quick, id: i64) -> Checklist {
    let found = app.probes.found(id);
    let now = app.clock.now();
    let known = |url: &String| found.links.iter().find(|link| link.url == *url).cloned();
    let links: Vec<Link> = quick.links.iter().filter_map(known).collect();
    let mut findings = quick.findings.clone();
    findings.push(links_line(quick.links.len(), &links, &found, now));
    findings.extend(sender(app, &found));
    // Stable: within a state, in the order in which they are looked at.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.state));
    Checklist {
        findings,
        running: found.running.map(|all| (found.links.len().min(all), all)),
        at: found.at.filter(|_| found.running.is_none()),
        links,
    }
}

fn content(proof: &Proof) -> Finding {
    const ABOUT: &str = "content";
    match proof.entries.len() {
        0 if proof.issue.introduction.trim().is_empty() => {
            Finding::bad(ABOUT, "There is nothing in it.", "Add articles, or write an introduction.")
        }
        0 => Finding::warn(ABOUT, "It has an introduction and no articles.", "Look whether that is meant."),
        1 => Finding::ok(ABOUT, "1 article."),
        n => Finding::ok(ABOUT, format!("{n} articles.")),
    }
}

fn said(proof: &Proof) -> Finding {
    const ABOUT: &str = "subject";
    let typed = proof.issue.subject.trim();
    let taken = subject(&proof.issue, &proof.entries, &proof.newsletter.name);
    let bare = taken.to_lowercase();
    let bare = bare.trim_matches(|c: char| !c.is_alphanumeric());
    let words = |words: &str| words.split(|c: char| !c.is_alphanumeric()).any(|word| ["test", "тест"].contains(&word));
    let length = taken.chars().count();
    if bare.is_empty() || PLACEHOLDERS.contains(&bare) {
        Finding::bad(ABOUT, format!("“{taken}” is no subject."), "Say what is in the issue.")
    } else if let Some(mark) = left_in(&taken) {
        Finding::bad(ABOUT, format!("A mark was left in it: {mark}."), "Take it out of the subject.")
    } else if typed.is_empty() {
        let mend = "Type one if readers should see another.";
        Finding::warn(ABOUT, format!("There is none, so readers see “{taken}”."), mend)
    } else if words(bare) {
        Finding::warn(ABOUT, format!("“{taken}” says that it is a test."), "Look whether that is meant.")
    } else if length > SUBJECT {
        let says = format!("It has {length} characters: phones show about 40, other programs {SUBJECT}.");
        Finding::warn(ABOUT, says, "Say the most important thing first, or shorten it.")
    } else {
        Finding::ok(ABOUT, format!("“{taken}”, {length} characters."))
    }
}

fn left_in(text: &str) -> Option<&'static str> {
    LEFTOVERS.into_iter().find(|mark| text.contains(mark))
}

/// Marks in what staff typed. What a feed brought is the article's own business.
fn leftovers(proof: &Proof) -> Option<Finding> {
    let typed = proof.entries.iter().flat_map(|entry| [entry.headline.clone(), entry.blurb.clone()]).flatten();
    let texts = [preheader(&proof.issue, &proof.entries), proof.issue.introduction.clone()].into_iter().chain(typed);
    let mark = texts.into_iter().find_map(|text| left_in(&text))?;
    let says = format!("A mark was left in the text: {mark}.");
    Some(Finding::warn("text", says, "Look for it in preheader, introduction, headlines and blurbs."))
}

fn repeated(entries: &[Entry], sent: &std::collections::HashMap<i64, i64>) -> Finding {
    const ABOUT: &str = "repeated";
    let again: Vec<String> = entries
        .iter()
        .filter_map(|entry| Some(format!("“{}” in No. {}", entry.headline(), sent.get(&entry.article_id)?)))
        .collect();
    if again.is_empty() {
        return Finding::ok(ABOUT, "No article was in an earlier issue.");
    }
    let more = if again.len() > NAMED { format!(" and {} more", again.len() - NAMED) } else { String::new() };
    let says = format!("Readers had these before: {}{more}.", again[..again.len().min(NAMED)].join(", "));
    Finding::warn(ABOUT, says, "Take them out unless they are meant to come again.")
}

fn tested(issue: &Issue) -> Finding {
    const ABOUT: &str = "test";
    match issue.tested_at {
        Some(at) if at >= issue.changed_at => {
            Finding::ok(ABOUT, "A test in every edition and language of its readers was sent since the last change.")
        }
        Some(_) => Finding::warn(ABOUT, "The issue was changed since the last test.", "Send a test and look at it."),
        None => Finding::warn(ABOUT, "No test was sent.", "Send one and look at it."),
    }
}

fn address(app: &Shared) -> Option<Finding> {
    let missing = app.newsroom().postal_address.trim().is_empty();
    let mend = "Set postal_address in newsroom.toml.";
    missing.then(|| Finding::bad("address", "There is no postal address, which the law wants in every issue.", mend))
}

/// Everything that readers get, in its longest form.
fn rendered(proof: &Proof) -> Result<Vec<RenderedEdition>, digest::render::RenderError> {
    let mut all = Vec::new();
    for edition in Edition::ALL {
        for language in Language::ALL {
            all.push(proof.edition(edition, language, true)?);
        }
    }
    Ok(all)
}

fn pictures(editions: &[RenderedEdition]) -> Finding {
    const ABOUT: &str = "pictures";
    let (mut all, mut bare) = (0, 0);
    for html in editions.iter().filter_map(|edition| edition.html.as_deref()) {
        let (some, without) = links::pictures(html);
        (all, bare) = (all.max(some), bare.max(without));
    }
    match (all, bare) {
        (0, _) => Finding::ok(ABOUT, "There are no pictures to describe."),
        (n, 0) => Finding::ok(ABOUT, format!("Each of {n} pictures has a description.")),
        (n, bare) => {
            let mend = "Describe them: not everybody sees them, and many programs do not show them.";
            Finding::bad(ABOUT, format!("{bare} of {n} pictures have no description."), mend)
        }
    }
}

fn name(edition: Edition) -> &'static str {
    match edition {
        Edition::Full => "full text",
        Edition::Links => "headlines and links",
        Edition::Plain => "plain text",
    }
}

fn size(editions: &[RenderedEdition]) -> Finding {
    const ABOUT: &str = "size";
    let html = |edition: &&RenderedEdition| edition.html.as_ref().map_or(0, String::len);
    let Some(largest) = editions.iter().max_by_key(html) else { return Finding::ok(ABOUT, "There is no HTML.") };
    let bytes = html(&largest);
    let says = format!("The largest edition, {}, has {} kB.", name(largest.edition), bytes.div_ceil(1000));
    if bytes >= CLIPPED_BYTES {
        let mend = "Gmail cuts mails off at 102 kB, and with the end the link to leave: send fewer articles.";
        Finding::bad(ABOUT, says, mend)
    } else if bytes > WARN_BYTES {
        Finding::warn(ABOUT, says, "Gmail cuts mails off at 102 kB: this is near.")
    } else {
        Finding::ok(ABOUT, says)
    }
}

fn text_part(editions: &[RenderedEdition]) -> Finding {
    const ABOUT: &str = "text part";
    match editions.iter().find(|edition| edition.text.trim().is_empty()) {
        None => Finding::ok(ABOUT, "Every edition has a text part."),
        Some(edition) => {
            let says = format!("The text part of the edition {} is empty.", name(edition.edition));
            Finding::bad(ABOUT, says, "Watches and terminals show nothing else, and spam filters count it.")
        }
    }
}

/// Writes a letter to nobody as it would go out, takes the link to leave from its header, and opens it.
fn leaving(app: &Shared, proof: &Proof, editions: &[RenderedEdition]) -> Finding {
    const ABOUT: &str = "unsubscribe";
    for edition in editions {
        match leaves(app, proof, edition) {
            Ok(true) => {}
            Ok(false) => {
                let says =
                    format!("Nobody could leave by the edition {}: its link does not work.", name(edition.edition));
                return Finding::bad(ABOUT, says, "Do not send it; this is a fault of Friday or of its key.");
            }
            Err(error) => return Finding::bad("sender", error.to_string(), "Mend newsroom.toml."),
        }
    }
    if !app.config.is_https() {
        let says = format!("The link to leave works, but it begins with {}.", app.config.base_url);
        return Finding::warn(ABOUT, says, "One click to leave (RFC 8058) wants https: set FRIDAY_BASE_URL.");
    }
    Finding::ok(ABOUT, "A sample link to leave opens, in each edition, and one click is in the header.")
}

fn leaves(app: &Shared, proof: &Proof, edition: &RenderedEdition) -> Result<bool, LetterError> {
    let (issue, newsletter) = (proof.issue.id, &proof.issue.newsletter);
    let hand = Hand::new(app, issue, newsletter)?;
    let body = Arc::new(Body::new(&edition.text, edition.html.as_deref(), MARKS));
    let letter = hand.letter(&edition.subject, body, false);
    // OK because it is an address; nothing is ever sent to it (RFC 2606).
    let nobody = Address::parse("sample@reader.invalid").expect("an address");
    let mut out = Vec::new();
    hand.address(app, &letter, SAMPLE, &nobody, app.clock.now(), &mut out);
    let mail = String::from_utf8_lossy(&out);
    let head = mail.split("\r\n\r\n").next().unwrap_or_default();
    let field = |name: &str| head.split("\r\n").filter_map(|line| line.strip_prefix(name)).collect::<Vec<_>>();
    let [link] = field("List-Unsubscribe: <")[..] else { return Ok(false) };
    let link = link.split('>').next().unwrap_or_default();
    let token = link.rsplit('/').next().unwrap_or_default();
    let named = subscribers::read_unsubscribe(&app.keys, token, app.clock.now()).ok();
    let in_parts = [Some(&edition.text), edition.html.as_ref()];
    Ok(field("List-Unsubscribe-Post: ") == ["List-Unsubscribe=One-Click"]
        && named == Some((SAMPLE, newsletter.clone(), issue))
        && link.starts_with(&app.config.base_url)
        && in_parts.into_iter().flatten().all(|part| part.contains(UNSUBSCRIBE_MARK)))
}

fn links_line(all: usize, asked: &[Link], found: &Found, now: Moment) -> Finding {
    const ABOUT: &str = "links";
    const LOOK: &str = "Look at links and records (the button below, or “friday issue check”).";
    let count = |state| asked.iter().filter(|link| link.state == state).count();
    let (bad, warn, open) = (count(State::Bad), count(State::Warn), all.saturating_sub(asked.len()));
    let of = |n: usize| format!("{} of {} links", number(n as i64), number(all as i64));
    let stale = found.at.is_some_and(|at| now.since(at) > FRESH);
    match all {
        0 => Finding::ok(ABOUT, "There are no links."),
        _ if bad > 0 => Finding::bad(
            ABOUT,
            format!("{} not answer.", of(bad) + if bad == 1 { " does" } else { " do" }),
            "They are listed below: mend or remove them.",
        ),
        _ if open == all => Finding::warn(ABOUT, format!("None of {all} links was looked at."), LOOK),
        _ if open > 0 => Finding::warn(
            ABOUT,
            format!("{} not looked at yet.", of(open) + if open == 1 { " was" } else { " were" }),
            LOOK,
        ),
        _ if stale => Finding::warn(ABOUT, "The links were looked at more than twelve hours ago.", LOOK),
        _ if warn > 0 => Finding::warn(
            ABOUT,
            format!("{} could not be tried.", of(warn)),
            "They are listed below: look with a browser.",
        ),
        1 => Finding::ok(ABOUT, "The link answers."),
        n => Finding::ok(ABOUT, format!("All {n} links answer.")),
    }
}

/// The sender's records, as far as they were looked at.
fn sender(app: &Shared, found: &Found) -> Vec<Finding> {
    const ABOUT: &str = "sender";
    match &found.sender {
        // The lines of `friday check` are no whole sentences; these are.
        Some((_, found)) => found.iter().map(|f| Finding { says: format!("{}.", f.says), ..f.clone() }).collect(),
        None if app.config.smtp.is_none() && app.config.resolver.is_none() => {
            let mend = "Set FRIDAY_SMTP_URL before the first real issue.";
            vec![Finding::warn(ABOUT, "There is no mail server: mails stay on this machine.", mend)]
        }
        None => {
            let mend = "Look at links and records (the button below, or “friday issue check”).";
            vec![Finding::warn(ABOUT, "SPF, DKIM and DMARC of the sender were not looked at.", mend)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_a_program_left_is_found_and_prose_is_left_alone() {
        for text in ["Hello {{ name }}", "*|FNAME|*", "TODO: headline", "Lorem ipsum dolor", "[[title]]"] {
            assert!(left_in(text).is_some(), "{text}");
        }
        for text in ["100 % of readers", "What to do today", "A [link](https://a.example)", "*Good* | bad"] {
            assert_eq!(left_in(text), None, "{text}");
        }
    }
}
