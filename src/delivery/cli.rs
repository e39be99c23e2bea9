//! `friday issue schedule`, `send`, `status`, `pause`, `resume`, `cancel`, `failed` and `retry`: what the delivery page does,
//! for scripts. The mails themselves go out through the running service; these commands tell it what to do.

use super::outcome::reason;
use super::store::{self, Run, progress};
use super::wording::wall;
use super::{acts, checklist};
use crate::app::Shared;
use crate::digest::{Issue, State};
use crate::finding::State::{Bad, Warn};
use crate::staff::Actor;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How an issue goes out.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Goes through the checklist of an issue that has not gone out; fails where a line is bad.
    Check {
        /// The issue.
        id: i64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sets the time at which an issue goes out.
    Schedule {
        /// The issue.
        id: i64,
        /// `next` (the newsletter's own schedule), 2026-11-27T08:00 (in its time zone) or 2026-11-27T08:00:00+01:00.
        when: String,
    },
    /// Sends an issue to everybody, now. The running service does the sending.
    Send {
        /// The issue.
        id: i64,
        /// The number of readers it must have; otherwise nothing is sent. A terminal asks for it.
        #[arg(long, value_name = "N")]
        readers: Option<i64>,
        /// Stays until the issue is out.
        #[arg(long)]
        follow: bool,
    },
    /// How far an issue is.
    Status {
        /// The issue.
        id: i64,
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Stays until the issue is out.
        #[arg(long, conflicts_with = "json")]
        follow: bool,
    },
    /// Stops an issue that is going out; each connection finishes the mail in hand.
    Pause {
        /// The issue.
        id: i64,
    },
    /// Goes on after a pause.
    Resume {
        /// The issue.
        id: i64,
    },
    /// Ends an issue for good; one that has not begun becomes a draft again.
    Cancel {
        /// The issue.
        id: i64,
    },
    /// Lists who did not get an issue, by id, with the reason.
    Failed {
        /// The issue.
        id: i64,
        /// As JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Tries everybody again who failed.
    Retry {
        /// The issue.
        id: i64,
    },
}

type Failure = Box<dyn std::error::Error>;

/// Runs a subcommand.
pub async fn run(app: &Shared, command: Command) -> Result<(), Failure> {
    match command {
        Command::Check { id, json } => check(app, id, json).await?,
        Command::Schedule { id, when } => {
            let at = acts::schedule(app, Actor::Cli, id, &when).await?;
            let zone = acts::newsletter(app, &acts::issue(app, id).await?)?.zone();
            println!("Issue {id} goes out on {} ({at}).", wall(at, &zone));
        }
        Command::Send { id, readers, follow: stay } => send(app, id, readers, stay).await?,
        Command::Status { id, json, follow: stay } => status(app, id, json, stay).await?,
        Command::Pause { id } => {
            acts::pause(app, Actor::Cli, id).await?;
            println!("Issue {id} is paused.");
        }
        Command::Resume { id } => {
            acts::resume(app, Actor::Cli, id).await?;
            println!("Issue {id} goes on.");
        }
        Command::Cancel { id } => match acts::cancel(app, Actor::Cli, id).await? {
            State::Draft => println!("Issue {id} is a draft again."),
            _ => println!("Issue {id} is cancelled: nobody else gets it."),
        },
        Command::Failed { id, json } => failed(app, id, json).await?,
        Command::Retry { id } => {
            println!("{} readers of issue {id} are tried again.", acts::retry(app, Actor::Cli, id).await?)
        }
    }
    Ok(())
}

async fn check(app: &Shared, id: i64, json: bool) -> Result<(), Failure> {
    let list = checklist::whole(app, id).await?;
    let (bad, warn) = (list.count(Bad), list.count(Warn));
    if json {
        let all = serde_json::json!({
            "id": id, "ok": bad == 0, "bad": bad, "warn": warn, "findings": list.findings, "links": list.links,
        });
        println!("{}", serde_json::to_string_pretty(&all)?);
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

async fn send(app: &Shared, id: i64, readers: Option<i64>, stay: bool) -> Result<(), Failure> {
    let readers = match readers {
        None if std::io::stdin().is_terminal() => Some(asked(app, id).await?),
        given => given,
    };
    let really = acts::send(app, Actor::Cli, id, readers, Duration::ZERO).await?;
    println!("Issue {id} goes out to {really} readers; the running service sends it.");
    if stay { follow(app, id).await } else { Ok(()) }
}

async fn asked(app: &Shared, id: i64) -> Result<i64, Failure> {
    let (_, really) = acts::audience(app, &acts::issue(app, id).await?).await?;
    print!("Issue {id} would go to {really} readers. Type that number to send it: ");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().parse().map_err(|_| "that is not a number: nothing was sent")?)
}

async fn status(app: &Shared, id: i64, json: bool, stay: bool) -> Result<(), Failure> {
    let issue = acts::issue(app, id).await?;
    let run = store::run(&app.db, id).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&as_json(app, &issue, run.as_ref()).await?)?);
        return Ok(());
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
    if stay { follow(app, id).await } else { Ok(()) }
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

async fn as_json(app: &Shared, issue: &Issue, run: Option<&Run>) -> Result<serde_json::Value, Failure> {
    let time = |at: Option<crate::clock::Moment>| at.map(|at| at.to_string());
    let mut status = serde_json::json!({
        "id": issue.id,
        "newsletter": issue.newsletter,
        "number": issue.number,
        "state": issue.state.as_str(),
        "scheduled_at": time(issue.scheduled_at),
    });
    let Some(run) = run else { return Ok(status) };
    status["started_at"] = time(Some(run.started_at)).into();
    status["finished_at"] = time(run.finished_at).into();
    for (name, count) in [
        ("readers", run.readers),
        ("sent", run.sent),
        ("failed", run.failed),
        ("skipped", run.skipped),
        ("waiting", run.waiting()),
        ("deferred", run.deferred),
        ("uncertain", run.uncertain),
    ] {
        status[name] = count.into();
    }
    status["reasons"] = serde_json::to_value(progress::reasons(&app.db, issue.id).await?)?;
    status["domains"] = serde_json::to_value(progress::domains(&app.db, &app.keys, issue.id).await?)?;
    Ok(status)
}

/// Shows how it goes until nobody waits for a first try: a bar on a terminal, a line every few seconds elsewhere.
async fn follow(app: &Shared, id: i64) -> Result<(), Failure> {
    let terminal = std::io::stderr().is_terminal();
    let bar = ProgressBar::with_draw_target(
        Some(0),
        if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() },
    );
    // OK because the template is a constant, tried in the test below.
    bar.set_style(ProgressStyle::with_template(BAR).expect("a template"));
    let mut last = String::new();
    loop {
        let state = acts::issue(app, id).await?.state;
        if let Some(run) = store::run(&app.db, id).await? {
            bar.set_length(run.readers.unsigned_abs());
            bar.set_position(run.tried().unsigned_abs());
            let words = in_words(&run);
            if !terminal && words != last {
                println!("{words}");
                last = words;
            }
            if run.gathered_at.is_some() && run.untried() == 0 || run.finished_at.is_some() || state == State::Paused {
                bar.finish();
                println!("Issue {id}: {state}. {}", in_words(&run));
                return Ok(());
            }
        }
        tokio::time::sleep(Duration::from_secs(if terminal { 1 } else { 5 })).await;
    }
}

const BAR: &str = "{bar:40} {pos} of {len}, {per_sec}, {eta} left";

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
