//! Mails to staff about an issue: it is out, it was paused by Friday, it is held.
//!
//! Each is put into the outbox by the transaction that makes it true, so it is written exactly once, whoever dies when.
//! It says numbers, never a reader. When a later round ends (who was put off, a retry), it is told only if another
//! number of readers failed than was told last: nobody needs a mail that says the same again.

use super::store::{self, Run, rounds};
use super::wording::{clock, lasting, number, readers, wall};
use crate::app::Shared;
use crate::clock::Moment;
use crate::db::{self, Tx};
use crate::digest::{self, Issue};
use crate::mail::Message;
use crate::mail::outbox::{self, Note};
use crate::newsroom::Newsletter;
use crate::staff::store::Person;
use crate::staff::{self, Role, StaffError};
use std::time::Duration;

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// Everybody was tried once.
    Out,
    /// Nobody waits any more: those who had been put off, or were tried again by staff, are settled.
    Ended,
    /// Friday stopped it by itself, for this reason.
    Paused(&'a str),
    /// It was not begun, for this reason.
    Held(&'a str),
}

/// Who is told: everybody who may send. To be asked before a transaction begins.
///
/// An address that does not open keeps nobody from getting the issue: then it is the log that says so.
pub async fn people(app: &Shared) -> db::Result<Vec<Person>> {
    match staff::store::people(&app.db, &app.keys).await {
        Ok(people) => Ok(people.into_iter().filter(|person| person.role.covers(Role::Publisher)).collect()),
        Err(StaffError::Db(error)) => Err(error),
        Err(error) => {
            tracing::error!(%error, "staff cannot be told about an issue");
            Ok(Vec::new())
        }
    }
}

/// Puts a mail to each into the outbox. The newsletter may have been taken out of the settings meanwhile; then its slug stands
/// for its name.
pub async fn tell(app: &Shared, tx: &mut Tx, people: &[Person], id: i64, news: News<'_>) -> db::Result<()> {
    if people.is_empty() {
        return Ok(());
    }
    let is_end = matches!(news, News::Out | News::Ended);
    if is_end && !rounds::is_news(tx, id).await? {
        return Ok(());
    }
    let now = app.clock.now();
    let Some(issue) = digest::store::issue_now(tx, id).await? else { return Ok(()) };
    let run = store::run_now(tx, id).await?;
    let newsroom = app.newsroom();
    let told = Told {
        news,
        name: name(&issue, newsroom.newsletter(&issue.newsletter)),
        subject: &issue.subject,
        run: run.as_ref(),
        zone: newsroom.newsletter(&issue.newsletter).map_or(jiff::tz::TimeZone::UTC, Newsletter::zone),
        link: app.config.link(&format!("/staff/issues/{id}/delivery")),
        now,
    };
    let (subject, text) = (told.headline(), told.text());
    for person in people {
        let message = Message {
            from: None,
            to: person.address.clone(),
            subject: format!("Friday: {subject}"),
            text: text.clone(),
            html: None,
            headers: Vec::new(),
        };
        outbox::put(tx, &app.keys, now, Note { kind: "staff-issue", once: None, message }).await?;
    }
    Ok(())
}

/// "The Friday digest, No. 42", or without the number where it has none yet.
fn name(issue: &Issue, newsletter: Option<&Newsletter>) -> String {
    let name = newsletter.map_or(issue.newsletter.as_str(), |newsletter| &newsletter.name);
    match issue.number {
        Some(number) => format!("{name}, No. {number}"),
        None => format!("An issue of {name}"),
    }
}

struct Told<'a> {
    news: News<'a>,
    name: String,
    subject: &'a str,
    run: Option<&'a Run>,
    zone: jiff::tz::TimeZone,
    link: String,
    now: Moment,
}

impl Told<'_> {
    fn headline(&self) -> String {
        let name = &self.name;
        let (sent, all) = self.run.map_or((0, 0), |run| (run.sent, run.readers));
        match self.news {
            News::Out => format!("{name} is out, {} of {} accepted", number(sent), number(all)),
            News::Ended => format!("{name} has ended, {} of {} accepted", number(sent), number(all)),
            News::Paused(_) => format!("{name} is paused and waits for you"),
            News::Held(_) => format!("{name} is held and waits for you"),
        }
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        if !self.subject.is_empty() {
            lines.push(format!("“{}”", self.subject));
        }
        match self.news {
            News::Paused(why) => {
                lines.push(format!("{why}. Nothing more goes out until somebody looks at it and lets it go on."));
            }
            News::Held(why) => lines.push(format!("{why}. Nobody has got it.")),
            News::Out | News::Ended => {}
        }
        if let Some(run) = self.run {
            lines.push(counts(run));
            lines.extend(self.times(run));
        }
        lines.push(format!("The report, and what can be done:\n{}", self.link));
        lines.join("\n\n") + "\n"
    }

    fn times(&self, run: &Run) -> Option<String> {
        let tried = run.tried_at?;
        let mut line = format!("Begun {}", wall(run.started_at, &self.zone));
        line += &format!("; everybody was tried within {}", lasting(tried.since(run.started_at)));
        line += &rate(run).map_or_else(String::new, |rate| format!(", {rate:.1} messages a second"));
        if run.finished_at.is_some_and(|at| at > tried) {
            line += &format!("; the last was settled {}", clock(self.now, &self.zone, run.started_at));
        }
        Some(line + ".")
    }
}

/// One count a line, those that are nothing left out.
fn counts(run: &Run) -> String {
    let lines = [
        (run.sent, "accepted"),
        (run.deferred, "put off by their servers, tried again for two days"),
        (run.untried(), "not tried yet"),
        (run.failed, "failed"),
        (run.uncertain, "uncertain among them: the answer was lost, so they may have it"),
        (run.skipped, "left or paused before their turn"),
    ];
    let lines = lines.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("\n{} {what}", number(n)));
    format!("{}:{}", readers(run.readers), lines.collect::<String>())
}

/// Messages a second over the first round, pauses included; none where it was too short to say.
pub fn rate(run: &Run) -> Option<f64> {
    let took = run.tried_at.or(run.finished_at)?.since(run.started_at);
    let tried = run.sent + run.failed + run.deferred;
    (took >= Duration::from_secs(1) && tried > 0).then(|| tried as f64 / took.as_secs_f64())
}
