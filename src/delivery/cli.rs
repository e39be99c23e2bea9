//! `friday issue check`, `schedule`, `send`, `status`, `pause`, `resume`, `cancel`, `failed` and `retry`: what the delivery
//! page does, for scripts. The mails themselves go out through the running service; these commands tell it what to do.

use super::outcome::reason;
use super::store::{self, Run, progress};
use super::wording::{lasting, wall};
use super::{acts, checklist, notice};
use crate::app::Shared;
use crate::clock::Moment;
use crate::digest::cli::{answer, brief};
use crate::digest::{Issue, State};
use crate::finding::State::{Bad, Warn};
use crate::staff::Actor;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// An issue, and how to answer.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct One {
    /// The issue.
    id: i64,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// How an issue goes out.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Goes through the checklist of an issue that has not gone out; fails where a line is bad.
    Check(One),
    /// Sets the time at which an issue goes out.
    Schedule {
        /// The issue, and how to answer.
        #[command(flatten)]
        issue: One,
        /// `next` (the newsletter's own schedule), 2026-11-27T08:00 (in its time zone) or 2026-11-27T08:00:00+01:00.
        when: String,
    },
    /// Sends an issue to everybody, now. The running service does the sending.
    Send {
        /// The issue, and how to answer.
        #[command(flatten)]
        issue: One,
        /// The number of readers it must have; otherwise nothing is sent. A terminal asks for it.
        #[arg(long, value_name = "N")]
        readers: Option<i64>,
        /// For so many seconds nobody gets it and `cancel` still stops it.
        #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=3600))]
        window: u64,
        /// Stays until the issue is out.
        #[arg(long)]
        follow: bool,
    },
    /// How far an issue is.
    Status {
        /// The issue, and how to answer.
        #[command(flatten)]
        issue: One,
        /// Stays until the issue is out.
        #[arg(long)]
        follow: bool,
    },
    /// Stops an issue that is going out; each connection finishes the mail in hand.
    Pause(One),
    /// Goes on after a pause.
    Resume(One),
    /// Ends an issue for good; one that has not begun becomes a draft again.
    Cancel(One),
    /// Lists who did not get an issue, by id, with the reason; as JSON, one object a line.
    Failed(One),
    /// Tries everybody again who failed.
    Retry(One),
}

type Failure = Box<dyn std::error::Error>;

/// Runs a subcommand.
pub async fn run(app: &Shared, command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(issue) => check(app, issue).await,
        Command::Schedule { issue, when } => {
            let at = acts::schedule(app, Actor::Cli, issue.id, &when).await?;
            let zone = acts::newsletter(app, &acts::issue(app, issue.id).await?)?.zone();
            done(app, issue, &[], &format!("Issue {} goes out on {} ({at}).", issue.id, wall(at, &zone))).await
        }
        Command::Send { issue, readers, window, follow: stay } => {
            send(app, issue, readers, Duration::from_secs(window), stay).await
        }
        Command::Status { issue, follow: stay } => status(app, issue, stay).await,
        Command::Pause(issue) => {
            acts::pause(app, Actor::Cli, issue.id).await?;
            done(app, issue, &[], &format!("Issue {} is paused.", issue.id)).await
        }
        Command::Resume(issue) => {
            acts::resume(app, Actor::Cli, issue.id).await?;
            done(app, issue, &[], &format!("Issue {} goes on.", issue.id)).await
        }
        Command::Cancel(issue) => {
            let says = match acts::cancel(app, Actor::Cli, issue.id).await? {
                State::Draft => format!("Issue {} is a draft again.", issue.id),
                _ => format!("Issue {} is cancelled: nobody else gets it.", issue.id),
            };
            done(app, issue, &[], &says).await
        }
        Command::Failed(issue) => failed(app, issue.id, issue.json).await,
        Command::Retry(issue) => {
            let readers = acts::retry(app, Actor::Cli, issue.id).await?;
            let says = format!("{readers} readers of issue {} are tried again.", issue.id);
            done(app, issue, &[("readers", readers.into())], &says).await
        }
    }
}

/// Says what was done, with where the issue stands now.
async fn done(app: &Shared, asked: One, more: &[(&str, Value)], sentence: &str) -> Result<(), Failure> {
    answer(asked.json, brief(&acts::issue(app, asked.id).await?), more, sentence);
    Ok(())
}

async fn check(app: &Shared, One { id, json }: One) -> Result<(), Failure> {
    let list = tokio::select! {
        list = checklist::whole(app, id) => list?,
        never = show_links(app, id) => never,
    };
    let (bad, warn) = (list.count(Bad), list.count(Warn));
    if json {
        let more = [
            ("ok", (bad == 0).into()),
            ("bad", bad.into()),
            ("warn", warn.into()),
            ("findings", serde_json::to_value(&list.findings)?),
            ("links", serde_json::to_value(&list.links)?),
        ];
        answer(json, brief(&acts::issue(app, id).await?), &more, "");
    } else {
        list.findings.iter().for_each(|finding| println!("{}", finding.lines()));
        list.troubled().for_each(|link| println!("{:<4}  {}\n{:19}{}", link.state.as_str(), link.url, "", link.says));
    }
    match bad {
        0 => Ok(()),
        1 => Err(format!("one line of the checklist of issue {id} is bad").into()),
        n => Err(format!("{n} lines of the checklist of issue {id} are bad").into()),
    }
}

/// Shows on a terminal how many links were asked. Ends with whoever waits for it.
async fn show_links(app: &Shared, id: i64) -> checklist::Checklist {
    let bar = bar("{bar:40} {pos} of {len} links");
    loop {
        let found = app.probes.found(id);
        bar.set_length(found.running.unwrap_or(0) as u64);
        bar.set_position(found.links.len() as u64);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn send(app: &Shared, asked_for: One, readers: Option<i64>, window: Duration, stay: bool) -> Result<(), Failure> {
    let id = asked_for.id;
    let readers = match readers {
        None if std::io::stdin().is_terminal() => Some(asked(app, id).await?),
        given => given,
    };
    let really = acts::send(app, Actor::Cli, id, readers, window).await?;
    let says = if window.is_zero() {
        format!("Issue {id} goes out to {really} readers; the running service sends it.")
    } else {
        format!(
            "Issue {id} goes out to {really} readers in {}; until then \"friday issue cancel {id}\" stops it.",
            lasting(window)
        )
    };
    if !stay {
        return done(app, asked_for, &[("readers", really.into())], &says).await;
    }
    if !asked_for.json {
        println!("{says}");
    }
    follow(app, asked_for).await
}

async fn asked(app: &Shared, id: i64) -> Result<i64, Failure> {
    let (_, really) = acts::audience(app, &acts::issue(app, id).await?).await?;
    // Not on standard output, which a script may read.
    eprint!("Issue {id} would go to {really} readers. Type that number to send it: ");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().parse().map_err(|_| "that is not a number: nothing was sent")?)
}

async fn status(app: &Shared, asked_for: One, stay: bool) -> Result<(), Failure> {
    let id = asked_for.id;
    let issue = acts::issue(app, id).await?;
    let run = store::run(&app.db, id).await?;
    if asked_for.json {
        return if stay { follow(app, asked_for).await } else { print_status(app, &issue, run.as_ref()).await };
    }
    println!("Issue {id} of {}: {}", issue.newsletter, issue.state);
    if let Some(at) = issue.scheduled_at.filter(|_| issue.state.is_open()) {
        println!("Goes out at {at}.");
    }
    if let Some(run) = &run {
        println!("{}", in_words(run));
        for count in progress::reasons(&app.db, id).await? {
            println!("{:>9} {} {} {}", count.readers, count.state, count.trouble, reason(&count.trouble));
        }
    }
    if stay { follow(app, asked_for).await } else { Ok(()) }
}

fn in_words(run: &Run) -> String {
    format!(
        "{} readers: {} sent, {} failed, {} left meanwhile, {} waiting (of these {} put off), {} uncertain",
        run.readers,
        run.sent,
        run.failed,
        run.skipped,
        run.waiting(),
        run.deferred,
        run.uncertain
    )
}

async fn print_status(app: &Shared, issue: &Issue, run: Option<&Run>) -> Result<(), Failure> {
    let Some(run) = run else {
        answer(true, brief(issue), &[], "");
        return Ok(());
    };
    let time = |at: Option<Moment>| Value::from(at.map(|at| at.to_string()));
    let mut more = vec![
        ("started_at", time(Some(run.started_at))),
        ("tried_at", time(run.tried_at)),
        ("finished_at", time(run.finished_at)),
        ("messages_a_second", notice::rate(run).map(|rate| (rate * 10.0).round() / 10.0).into()),
    ];
    for (name, count) in [
        ("readers", run.readers),
        ("sent", run.sent),
        ("failed", run.failed),
        ("skipped", run.skipped),
        ("waiting", run.waiting()),
        ("deferred", run.deferred),
        ("uncertain", run.uncertain),
    ] {
        more.push((name, count.into()));
    }
    more.push(("reasons", serde_json::to_value(progress::reasons(&app.db, issue.id).await?)?));
    more.push(("domains", serde_json::to_value(progress::domains(&app.db, &app.keys, issue.id).await?)?));
    answer(true, brief(issue), &more, "");
    Ok(())
}

/// Shows how it goes until nobody waits for a first try, or nothing goes out any more: a bar on a terminal, a line every few
/// seconds elsewhere, and as JSON how it stands in the end.
async fn follow(app: &Shared, One { id, json }: One) -> Result<(), Failure> {
    let terminal = std::io::stderr().is_terminal();
    let bar = bar(BAR);
    let mut last = String::new();
    loop {
        let issue = acts::issue(app, id).await?;
        let run = store::run(&app.db, id).await?;
        let words = run.as_ref().map(in_words).unwrap_or_default();
        if let Some(run) = &run {
            bar.set_length(run.readers.unsigned_abs());
            bar.set_position(run.tried().unsigned_abs());
        }
        if has_come_to_rest(issue.state, run.as_ref()) {
            bar.finish();
            if json {
                return print_status(app, &issue, run.as_ref()).await;
            }
            println!("Issue {id}: {}. {words}", issue.state);
            return Ok(());
        }
        if !terminal && !json && words != last {
            println!("{words}");
            last = words;
        }
        tokio::time::sleep(Duration::from_secs(if terminal { 1 } else { 5 })).await;
    }
}

/// Whether there is nothing to wait for: everybody was tried, or somebody has to do something first.
fn has_come_to_rest(state: State, run: Option<&Run>) -> bool {
    match state {
        State::Scheduled => false,
        State::Sending => {
            run.is_some_and(|run| run.gathered_at.is_some() && run.untried() == 0 || run.finished_at.is_some())
        }
        State::Draft | State::Held | State::Paused | State::Sent | State::Cancelled => true,
    }
}

const BAR: &str = "{bar:40} {pos} of {len}, {per_sec}, {eta} left";

fn bar(template: &'static str) -> ProgressBar {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    // A template that cannot be read leaves the bar as it comes; the test below sees to it that ours can be.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

async fn failed(app: &Shared, id: i64, json: bool) -> Result<(), Failure> {
    acts::issue(app, id).await?;
    let mut out = std::io::stdout().lock();
    let mut after = i64::MIN;
    let mut any = false;
    loop {
        let some = progress::failures(&app.db, id, after, 1_000).await?;
        let Some(last) = some.last() else { break };
        after = last.subscriber_id;
        any = true;
        for failure in &some {
            if json {
                writeln!(out, "{}", serde_json::to_string(failure)?)?;
            } else {
                writeln!(out, "{} {} {}", failure.subscriber_id, failure.trouble, reason(&failure.trouble))?;
            }
        }
    }
    if !any && !json {
        writeln!(out, "Nobody failed in issue {id}.")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }
}
