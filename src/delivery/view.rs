//! What the delivery page shows: a run put into words and numbers, ready for its templates.

use super::checklist::{self, Checklist, Quick};
use super::outcome::{reason, trouble};
use super::store::progress::{self, DomainCounts, ReasonCount};
use super::store::{self, Run};
use super::wording::{capital, clock, lasting, number, percent, wall};
use super::{acts, acts::ActError, notice, schedule};
use crate::app::Shared;
use crate::clock::Moment;
use crate::digest::proof::Proof;
use crate::digest::{Issue, State, subject};
use crate::finding;
use jiff::tz::TimeZone;
use std::collections::VecDeque;
use std::time::Duration;

/// From so long before an issue goes out its page counts the seconds.
const COUNTDOWN: Duration = Duration::from_secs(60);
/// Over how long the rate is taken.
const RATE_OVER: Duration = Duration::from_secs(10);

/// Which of its forms the page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// To be tested, scheduled, sent.
    Ready,
    /// About to go out.
    Countdown,
    /// Going out, stopped, or done.
    Out,
}

/// A delivery page.
#[derive(Clone, Debug)]
pub struct View {
    /// The issue.
    pub id: i64,
    /// Its subject.
    pub title: String,
    /// Whether who looks may schedule, send and stop it.
    pub may_send: bool,
    /// "The Friday digest, No. 42".
    pub name: String,
    /// Where it stands, for the page's form.
    pub stage: Stage,
    /// Where it stands.
    pub state: State,
    /// The state's class: `is-good`, `is-warn`, `is-bad` or nothing.
    pub tone: &'static str,
    /// The state in words.
    pub word: String,
    /// "since 08:00:00".
    pub since: String,
    /// Where readers find it, once they can.
    pub public: Option<String>,
    /// Before it goes out.
    pub before: Option<Ready>,
    /// What to look at before it goes out.
    pub checklist: Option<ChecklistView>,
    /// While and after it goes out.
    pub run: Option<RunView>,
    /// What happened: when, what.
    pub log: Vec<(String, String)>,
}

/// Who would get it, and when.
#[derive(Clone, Debug)]
pub struct Ready {
    /// How many readers.
    pub readers: i64,
    /// The same with separators.
    pub readers_text: String,
    /// "full text 7,204, links 4,690".
    pub editions: String,
    /// When it is to go out, in words.
    pub at: Option<String>,
    /// The same for the date field.
    pub date: String,
    /// And for the time field.
    pub time: String,
    /// The time zone's place.
    pub place: String,
    /// Seconds left, in the countdown.
    pub seconds: u64,
    /// Seconds of it that are over.
    pub waited: u64,
}

/// The checklist, ready for its template.
#[derive(Clone, Debug)]
pub struct ChecklistView {
    /// Its lines and links.
    pub list: Checklist,
    /// How many lines are bad.
    pub bad: usize,
    /// How many lines are to be thought about.
    pub warn: usize,
    /// When links and records were looked at.
    pub looked: Option<String>,
}

impl ChecklistView {
    fn new(list: Checklist, zone: &TimeZone, now: Moment) -> ChecklistView {
        ChecklistView {
            bad: list.count(finding::State::Bad),
            warn: list.count(finding::State::Warn),
            looked: list.at.map(|at| clock(at, zone, now)),
            list,
        }
    }

    /// "2 bad, 1 to look at", or that all is good.
    pub fn sum(&self) -> String {
        match (self.bad, self.warn) {
            (0, 0) => "all good".to_owned(),
            (0, warn) => format!("{warn} to look at"),
            (bad, 0) => format!("{bad} bad"),
            (bad, warn) => format!("{bad} bad, {warn} to look at"),
        }
    }

    /// The class of the sum.
    pub fn tone(&self) -> &'static str {
        let worst = self.list.findings.iter().map(|finding| finding.state).max();
        self.tone_of(&worst.unwrap_or(finding::State::Ok))
    }

    /// The class of a line.
    pub fn tone_of(&self, state: &finding::State) -> &'static str {
        match state {
            finding::State::Ok => "is-good",
            finding::State::Warn => "is-warn",
            finding::State::Bad => "is-bad",
        }
    }

    /// The word of a line.
    pub fn word_of(&self, state: &finding::State) -> &'static str {
        match state {
            finding::State::Ok => "Good",
            finding::State::Warn => "Look",
            finding::State::Bad => "Bad",
        }
    }

    /// How far a look is that goes on.
    pub fn going_on(&self) -> Option<String> {
        self.list.running.map(|(done, all)| match all {
            0 => "Looking at links and records.".to_owned(),
            _ => format!("{done} of {all} links looked at so far."),
        })
    }
}

/// Term, figure, note.
pub type Figure = (&'static str, String, String);

/// A run in numbers.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Everybody, for the bar: at least one.
    pub readers: i64,
    /// Tried so far.
    pub tried: i64,
    /// Percent of that.
    pub percent: i64,
    /// "7,949".
    pub tried_text: String,
    /// "12,408".
    pub readers_text: String,
    /// "1 min 48 s left", or how long it took.
    pub time: String,
    /// Its figures.
    pub figures: Vec<Figure>,
    /// Domains with ten readers or more, and a last line for all others.
    pub domains: Vec<DomainView>,
    /// Why readers failed or wait again.
    pub reasons: Vec<(String, String)>,
    /// Whether anybody failed.
    pub failed: bool,
    /// Whether it stands still or is over.
    pub at_rest: bool,
    /// Whether nobody waits any more.
    pub over: bool,
    /// Whether the rows are gone, and with them reasons and domains.
    pub forgotten: bool,
}

/// A receiving domain in numbers, with its bar.
#[derive(Clone, Debug)]
pub struct DomainView {
    /// Its name, or "Smaller domains".
    pub name: String,
    /// Tried, accepted, deferred, failed.
    pub counts: [String; 4],
    /// Percent accepted, deferred, failed.
    pub shares: [f64; 3],
    /// The state's class.
    pub tone: &'static str,
    /// The state in words.
    pub word: String,
}

/// What a page that looks again and again remembers: how far it was a moment ago, which makes the rate, the audience,
/// which takes long to count and does not change in a minute, and the checklist of an issue that has not changed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    looks: VecDeque<(Moment, i64)>,
    audience: Option<(Vec<(String, i64)>, i64)>,
    checks: Option<Quick>,
}

impl Seen {
    /// Takes a look; messages a second, once there were two.
    fn look(&mut self, now: Moment, tried: i64) -> Option<f64> {
        while self.looks.len() > 1 && now.since(self.looks[0].0) > RATE_OVER {
            self.looks.pop_front();
        }
        let rate = self
            .looks
            .front()
            .filter(|(at, _)| now.since(*at) >= Duration::from_millis(900))
            .map(|(at, before)| (tried - before).max(0) as f64 / now.since(*at).as_secs_f64());
        self.looks.push_back((now, tried));
        rate
    }
}

/// Looks at an issue.
pub async fn view(app: &Shared, id: i64, may_send: bool, seen: &mut Seen) -> Result<View, ActError> {
    let issue = acts::issue(app, id).await?;
    let newsletter = acts::newsletter(app, &issue)?;
    let (zone, now) = (newsletter.zone(), app.clock.now());
    let run = store::run(&app.db, id).await?;
    let stage = match (issue.state, issue.scheduled_at) {
        (State::Scheduled, Some(at)) if at <= now + COUNTDOWN => Stage::Countdown,
        (state, _) if state.is_open() => Stage::Ready,
        _ => Stage::Out,
    };
    let title = if issue.subject.is_empty() {
        Proof::of(app, id).await.map(|proof| subject(&issue, &proof.entries, &newsletter.name))?
    } else {
        issue.subject.clone()
    };
    let before = if stage == Stage::Out { None } else { Some(ready(app, &issue, &zone, now, seen).await?) };
    let checklist = if stage == Stage::Ready { Some(checklist(app, &issue, &zone, now, seen).await?) } else { None };
    let waits = run.as_ref().is_some_and(|run| run.waiting() > 0 && run.untried() == 0 && run.gathered_at.is_some());
    let (tone, word) = state_words(issue.state, stage, waits, run.as_ref());
    let number = issue.number.map(|n| format!(", No. {n}")).unwrap_or_default();
    let log = progress::events(&app.db, id).await?;
    Ok(View {
        id,
        title,
        may_send,
        name: format!("{}{number}", newsletter.name),
        stage,
        state: issue.state,
        tone,
        word,
        since: since(run.as_ref(), &zone, now),
        public: issue
            .number
            .filter(|_| issue.state.is_public())
            .map(|n| format!("/newsletters/{}/issues/{n}", newsletter.slug)),
        before,
        checklist,
        run: match run {
            Some(run) => Some(run_view(app, &issue, run, &zone, now, seen).await?),
            None => None,
        },
        log: log.into_iter().map(|event| (clock(event.at, &zone, now), event.what)).collect(),
    })
}

async fn checklist(
    app: &Shared,
    issue: &Issue,
    zone: &TimeZone,
    now: Moment,
    seen: &mut Seen,
) -> Result<ChecklistView, ActError> {
    let quick = match seen.checks.take().filter(|quick| quick.is_of(issue)) {
        Some(quick) => quick,
        None => checklist::quick(app, issue.id).await?,
    };
    let list = checklist::with_found(app, &quick, issue.id);
    seen.checks = Some(quick);
    Ok(ChecklistView::new(list, zone, now))
}

fn state_words(state: State, stage: Stage, waits: bool, run: Option<&Run>) -> (&'static str, String) {
    let (tone, word) = match state {
        State::Draft => ("", "Draft"),
        State::Scheduled if stage == Stage::Countdown => ("is-warn", "About to go out"),
        State::Scheduled => ("is-good", "Scheduled"),
        State::Held => ("is-bad", "Held"),
        State::Sending if run.is_some_and(|run| run.gathered_at.is_none()) => ("is-warn", "Gathering readers"),
        State::Sending if waits => ("is-good", "Out, some are tried again"),
        State::Sending => ("is-warn", "Going out"),
        State::Paused => ("is-bad", "Paused"),
        State::Sent => ("is-good", "Sent"),
        State::Cancelled => ("is-bad", "Cancelled"),
    };
    (tone, word.to_owned())
}

fn since(run: Option<&Run>, zone: &TimeZone, now: Moment) -> String {
    match run.map(|run| (run.started_at, run.finished_at)) {
        None => String::new(),
        Some((start, None)) => format!("since {}", clock(start, zone, now)),
        Some((start, Some(end))) => format!("{} to {}", clock(start, zone, now), clock(end, zone, start)),
    }
}

async fn ready(app: &Shared, issue: &Issue, zone: &TimeZone, now: Moment, seen: &mut Seen) -> Result<Ready, ActError> {
    if seen.audience.is_none() {
        seen.audience = Some(acts::audience(app, issue).await?);
    }
    let (by_edition, readers) = seen.audience.clone().unwrap_or_default();
    let newsletter = acts::newsletter(app, issue)?;
    let shown = issue.scheduled_at.filter(|at| *at > now).or_else(|| schedule::next(&newsletter, now)).unwrap_or(now);
    let shown = shown.to_jiff().to_zoned_datetime(zone.clone());
    let seconds = issue.scheduled_at.map_or(0, |at| at.since(now).as_secs());
    let name = |edition: &str| match edition {
        "full" => "full text",
        "links" => "links",
        _ => "plain",
    };
    let editions: Vec<String> =
        by_edition.iter().map(|(edition, n)| format!("{} {}", name(edition), number(*n))).collect();
    Ok(Ready {
        readers,
        readers_text: number(readers),
        editions: editions.join(", "),
        at: issue.scheduled_at.map(|at| wall(at, zone)),
        date: shown.strftime("%Y-%m-%d").to_string(),
        time: shown.strftime("%H:%M").to_string(),
        place: newsletter.time_zone.rsplit('/').next().unwrap_or("UTC").replace('_', " "),
        seconds,
        waited: COUNTDOWN.as_secs().saturating_sub(seconds),
    })
}

async fn run_view(
    app: &Shared,
    issue: &Issue,
    run: Run,
    zone: &TimeZone,
    now: Moment,
    seen: &mut Seen,
) -> Result<RunView, ActError> {
    let id = issue.id;
    let reasons = progress::reasons(&app.db, id).await?;
    let moving = issue.state == State::Sending && run.untried() > 0;
    let next_try = progress::next_try(&app.db, id).await?.filter(|_| issue.state != State::Cancelled);
    let pace = seen.look(now, run.tried()).or_else(|| average(&run, now)).filter(|_| moving);
    Ok(RunView {
        readers: run.readers.max(1),
        tried: run.tried(),
        percent: (run.tried() * 100).checked_div(run.readers).unwrap_or(0),
        tried_text: number(run.tried()),
        readers_text: number(run.readers),
        time: match (run.tried_at, pace) {
            (Some(tried), _) if !moving => format!("in {}", lasting(tried.since(run.started_at))),
            (_, Some(pace)) if pace > 0.0 => {
                format!("{} left", lasting(Duration::from_secs_f64((run.untried() as f64 / pace).min(8e6))))
            }
            _ => String::new(),
        },
        figures: figures(app, issue, &run, pace, next_try.map(|at| clock(at, zone, now))).await?,
        domains: domain_views(progress::domains(&app.db, &app.keys, id).await?, &run),
        reasons: reasons.iter().map(|r| (reason_text(r), number(r.readers))).collect(),
        failed: run.failed > 0,
        at_rest: !moving,
        over: run.finished_at.is_some(),
        forgotten: run.forgotten_at.is_some(),
    })
}

fn average(run: &Run, now: Moment) -> Option<f64> {
    let seconds = now.since(run.started_at).as_secs_f64();
    (seconds >= 1.0 && run.tried() > 0).then(|| run.tried() as f64 / seconds)
}

async fn figures(
    app: &Shared,
    issue: &Issue,
    run: &Run,
    pace: Option<f64>,
    next_try: Option<String>,
) -> Result<Vec<Figure>, ActError> {
    let moving = issue.state == State::Sending && run.untried() > 0;
    let mut figures = Vec::new();
    if moving {
        let limit = match app.config.send_rate {
            0 => "no limit".to_owned(),
            rate => format!("limit {} /s", number(rate.into())),
        };
        figures.push(("Rate", format!("{:.1} /s", pace.unwrap_or(0.0)), limit));
    } else {
        figures.push(("Readers", number(run.readers), "in all editions".to_owned()));
    }
    figures.push(("Accepted", number(run.sent), format!("{} of those tried", percent(run.sent, run.tried()))));
    if run.finished_at.is_none() || run.deferred > 0 {
        let next = match next_try {
            _ if run.finished_at.is_some() => "will not be tried again".to_owned(),
            Some(at) => format!("next try {at}"),
            None => "nobody waits for another try".to_owned(),
        };
        figures.push(("Deferred", number(run.deferred), next));
    }
    let failed = if run.failed == 0 { "nobody" } else { "by reason below" };
    figures.push(("Failed", number(run.failed), failed.to_owned()));
    figures.push(("Uncertain", number(run.uncertain), "answer lost after the last dot".to_owned()));
    if run.skipped > 0 || !moving {
        figures.push(("Left meanwhile", number(run.skipped), "or paused, and were spared it".to_owned()));
    }
    if run.untried() > 0 {
        let note = match issue.state {
            State::Cancelled => "will not get it".to_owned(),
            State::Sending => format!("{} connections", store::connections(&app.db, app.clock.now()).await?),
            _ => "nothing goes out now".to_owned(),
        };
        figures.push(("Waiting", number(run.untried()), note));
    }
    figures.extend(times(run));
    Ok(figures)
}

/// How long it took, and how fast that was: of the first round, since whoever was put off is tried again for two days.
fn times(run: &Run) -> Vec<Figure> {
    let Some(tried) = run.tried_at else { return Vec::new() };
    let settled = match run.finished_at.filter(|at| *at > tried) {
        Some(end) => format!("the last was settled after {}", lasting(end.since(run.started_at))),
        None => "until everybody was tried".to_owned(),
    };
    let mut times = vec![("Took", lasting(tried.since(run.started_at)), settled)];
    if let Some(rate) = notice::rate(run) {
        times.push(("Rate", format!("{rate:.1} /s"), "over the first round".to_owned()));
    }
    times
}

fn domain_views(domains: Vec<DomainCounts>, run: &Run) -> Vec<DomainView> {
    // What is not in a line of its own is in the last one, so the lines always add up to the figures above.
    let sum = |count: fn(&DomainCounts) -> i64| domains.iter().map(count).sum::<i64>();
    let rest = DomainCounts {
        name: if domains.is_empty() { "All domains" } else { "All smaller domains" }.to_owned(),
        sent: (run.sent - sum(|d| d.sent)).max(0),
        deferred: (run.deferred - sum(|d| d.deferred)).max(0),
        failed: (run.failed - sum(|d| d.failed)).max(0),
        trouble: None,
    };
    let rest = Some(rest).filter(|rest| rest.tried() > 0);
    domains.into_iter().chain(rest).map(domain_view).collect()
}

fn domain_view(domain: DomainCounts) -> DomainView {
    let share = |n: i64| if domain.tried() == 0 { 0.0 } else { (n * 1000 / domain.tried()) as f64 / 10.0 };
    let (tone, word) = match &domain.trouble {
        _ if domain.deferred + domain.failed == 0 => ("is-good", "Good".to_owned()),
        Some(code) if code.starts_with('4') => ("is-warn", format!("Puts off: {code}")),
        // A mailbox that is not there, or full, is no quarrel with its domain.
        Some(code) if code.starts_with("5.1.") || code.starts_with("5.2.") => {
            ("is-warn", format!("Some mailboxes: {code} {}", reason(code)))
        }
        Some(code) => ("is-bad", format!("Refused: {code}")),
        None => ("is-warn", "Some were put off or refused".to_owned()),
    };
    DomainView {
        counts: [domain.tried(), domain.sent, domain.deferred, domain.failed].map(number),
        shares: [share(domain.sent), share(domain.deferred), share(domain.failed)],
        name: domain.name,
        tone,
        word,
    }
}

/// "4.2.2 mailbox full; tried again".
fn reason_text(count: &ReasonCount) -> String {
    let code = count.trouble.as_str();
    let ours = [trouble::UNCERTAIN, trouble::DROPPED, trouble::UNREADABLE].contains(&code);
    let text = if ours { reason(code).to_owned() } else { format!("{code} {}", reason(code)) };
    let then = match (count.state.as_str(), code) {
        ("waiting", _) => "; tried again",
        (_, "5.1.1" | "5.1.2" | "5.1.3" | "5.1.6" | "5.1.10" | "5.2.1") => "; will not be written to again",
        _ => "",
    };
    capital(text + then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_seconds_only() {
        let mut rate = Seen::default();
        let at = |s: u64| Moment::from_millis(0) + Duration::from_secs(s);
        assert_eq!(rate.look(at(0), 0), None);
        assert_eq!(rate.look(at(1), 10), Some(10.0));
        for second in 2..=20 {
            rate.look(at(second), 10);
        }
        assert_eq!(rate.look(at(21), 10), Some(0.0), "what was half a minute ago is forgotten");
    }

    #[test]
    fn a_mailbox_that_is_not_there_is_no_quarrel_with_its_domain() {
        let domain = |trouble: &str| {
            domain_view(DomainCounts {
                sent: 20,
                failed: 1,
                trouble: Some(trouble.to_owned()),
                ..DomainCounts::default()
            })
        };
        assert_eq!(
            (domain("5.1.1").tone, domain("5.1.1").word.as_str()),
            ("is-warn", "Some mailboxes: 5.1.1 no such mailbox")
        );
        assert_eq!((domain("5.7.1").tone, domain("5.7.1").word.as_str()), ("is-bad", "Refused: 5.7.1"));
    }

    #[test]
    fn reasons_say_what_follows() {
        let count =
            |state: &str, trouble: &str| ReasonCount { state: state.into(), trouble: trouble.into(), readers: 1 };
        assert_eq!(reason_text(&count("waiting", "4.2.2")), "4.2.2 mailbox full; tried again");
        assert_eq!(
            reason_text(&count("failed", "uncertain")),
            "The answer was lost after the last dot: they may have it"
        );
        assert_eq!(reason_text(&count("failed", "5.1.1")), "5.1.1 no such mailbox; will not be written to again");
    }
}
