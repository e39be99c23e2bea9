//! Bringing readers along from another service.
//!
//! Consent is not imported with an address: whoever runs this says which text these people agreed to, and it is kept
//! with each of them. Somebody who left here, or whose mailbox is gone, is not brought back. What is refused is told by
//! the line of the file, never by the address, so that the report can be kept.

mod source;

use super::store;
use super::store::import::{Outcome, Sealed};
use crate::app::Shared;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use source::Batch;
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use tokio::sync::mpsc;

/// Batches that are ready while one is written.
const AHEAD: usize = 1;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// Its form.
    #[error("line {0} is not CSV: {1}")]
    Csv(u64, &'static str),
    /// No such newsletter.
    #[error("there is no newsletter \"{0}\"; there are: {1}")]
    Newsletter(String, String),
    /// The database.
    #[error("the database: {0}")]
    Db(#[from] crate::db::Error),
}

/// What became of the rows.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// New readers of the newsletter.
    pub added: u64,
    /// Those who read it already.
    pub already: u64,
    /// The rest: line of the file, and why.
    pub refused: Vec<(u64, String)>,
}

/// Reads a CSV file and makes its people readers of `newsletter`, who agreed to `consent`. With `dry_run` nothing is
/// changed and the report is the same.
pub async fn import(
    app: &Shared,
    path: &Path,
    newsletter: &str,
    consent: &str,
    dry_run: bool,
) -> Result<Report, ImportError> {
    let newsroom = app.newsroom();
    if newsroom.newsletter(newsletter).is_none() {
        let all: Vec<&str> = newsroom.newsletters.iter().map(|n| n.slug.as_str()).collect();
        return Err(ImportError::Newsletter(newsletter.to_owned(), all.join(", ")));
    }
    let file_error = |e| ImportError::File(path.display().to_string(), e);
    let file = File::open(path).map_err(file_error)?;
    let bar = progress(file.metadata().map_err(file_error)?.len());
    let (to, mut batches) = mpsc::channel(AHEAD);
    let reading = app.clone();
    let reading = tokio::task::spawn_blocking(move || source::read(&reading.keys, file, &to));
    let mut report = Report::default();
    while let Some(Batch { readers, refused, octets }) = batches.recv().await {
        let outcome = write(app, newsletter, consent, &readers, dry_run).await?;
        report.added += outcome.added;
        report.already += outcome.already;
        let gone = |line| (line, "left here earlier, or cannot be reached".to_owned());
        report.refused.extend(refused.into_iter().chain(outcome.suppressed.into_iter().map(gone)));
        bar.set_position(octets);
    }
    // OK because reading does not panic, and nobody aborts it.
    reading.await.expect("a file that was read")?;
    report.refused.sort();
    bar.finish_and_clear();
    if !dry_run {
        app.db.analyze("ANALYZE subscribers").await?;
        app.db.analyze("ANALYZE subscriptions").await?;
    }
    Ok(report)
}

/// Writes a batch; what became of it.
async fn write(
    app: &Shared,
    newsletter: &str,
    consent: &str,
    readers: &[Sealed],
    dry_run: bool,
) -> crate::db::Result<Outcome> {
    let mut tx = app.db.begin().await?;
    let consent = store::consent_text(&mut tx, consent).await?;
    let outcome = store::import::import(&mut tx, app.clock.now(), (newsletter, consent), readers).await?;
    // Dropped, the transaction has not happened.
    if !dry_run {
        tx.commit().await?;
    }
    Ok(outcome)
}

fn progress(octets: u64) -> ProgressBar {
    let target = match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    // OK because the template is a constant that a story draws.
    let style = ProgressStyle::with_template("{bar:40} {percent} %, {eta} left").expect("a template");
    ProgressBar::with_draw_target(Some(octets), target).with_style(style)
}
