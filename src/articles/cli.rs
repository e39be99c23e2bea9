//! `friday feeds`.

use std::time::Duration;

use clap::Subcommand;
use indicatif::ProgressBar;
use serde::Serialize;

use super::store;
use super::task::{Outcome, read_due};
use crate::app::Shared;
use crate::worker::StepError;

/// What can be done with feeds.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads all feeds now, also those that wait after a failure
    Fetch {
        /// One JSON object for each feed
        #[arg(long)]
        json: bool,
    },
    /// Lists the feeds and how they are
    List {
        /// One JSON object for each feed
        #[arg(long)]
        json: bool,
    },
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// Some feeds brought nothing; each was named
    #[error("{failed} of {all} feeds could not be read; the articles that are here stay")]
    Failed {
        /// How many
        failed: usize,
        /// Of how many
        all: usize,
    },
    /// The database failed
    #[error(transparent)]
    Db(#[from] crate::db::Error),
    /// The reading itself failed
    #[error("{0}")]
    Step(StepError),
}

/// Runs one of them.
pub async fn run(app: &Shared, command: Command) -> Result<(), CliError> {
    match command {
        Command::Fetch { json } => fetch(app, json).await,
        Command::List { json } => list(app, json).await,
    }
}

async fn fetch(app: &Shared, json: bool) -> Result<(), CliError> {
    let now = app.clock.now();
    store::add_missing(&app.db, now, &app.newsroom().feeds).await?;
    let mut tx = app.db.begin().await?;
    store::make_due(&mut tx, now).await?;
    tx.commit().await?;
    // On a terminal it turns; elsewhere it is not there.
    let bar = ProgressBar::new_spinner().with_message("Reading the feeds");
    bar.enable_steady_tick(Duration::from_millis(120));
    let outcomes = read_due(app, &|outcome| bar.suspend(|| tell(outcome, json))).await.map_err(CliError::Step)?;
    bar.finish_and_clear();
    if outcomes.is_empty() && !json {
        println!("There is no feed to read. Add one on the staff pages or in newsroom.toml.");
    }
    match outcomes.iter().filter(|outcome| outcome.result.is_err()).count() {
        0 => Ok(()),
        failed => Err(CliError::Failed { failed, all: outcomes.len() }),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    url: &'a str,
    new: usize,
    changed: usize,
    problem: Option<String>,
}

fn tell(outcome: &Outcome, json: bool) {
    let taken = outcome.result.as_ref().ok().copied().flatten();
    let (new, changed) = taken.map_or((0, 0), |taken| (taken.new, taken.changed));
    let problem = outcome.result.as_ref().err().map(ToString::to_string);
    if json {
        print_json(&Line { url: &outcome.url, new, changed, problem });
        return;
    }
    match (problem, taken) {
        (Some(problem), _) => println!("{}: {problem}", outcome.url),
        (None, None) => println!("{}: not changed", outcome.url),
        (None, Some(_)) => println!("{}: {new} new, {changed} changed", outcome.url),
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    url: &'a str,
    section: &'a str,
    paused: bool,
    articles: i64,
    read_at: Option<String>,
    problem: Option<&'a str>,
}

async fn list(app: &Shared, json: bool) -> Result<(), CliError> {
    for feed in store::feeds(&app.db).await? {
        let read_at = feed.read_at.map(|at| at.to_string());
        if json {
            print_json(&Listed {
                url: &feed.url,
                section: &feed.section,
                paused: feed.paused,
                articles: feed.articles,
                read_at,
                problem: feed.problem.as_deref(),
            });
            continue;
        }
        let state = match (&feed.problem, feed.paused) {
            (Some(problem), _) => problem.clone(),
            (None, true) => "paused".to_owned(),
            (None, false) => format!("last read {}", read_at.as_deref().unwrap_or("never")),
        };
        println!("{} ({}): {} articles; {state}", feed.url, feed.section, feed.articles);
    }
    Ok(())
}

fn print_json(line: &impl Serialize) {
    // OK because a struct of texts and numbers always becomes JSON.
    println!("{}", serde_json::to_string(line).expect("a line of JSON"));
}
