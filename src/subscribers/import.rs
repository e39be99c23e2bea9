//! Bringing readers along from another service.
//!
//! Consent is not imported with an address: whoever runs this says which text these people agreed to, and it is kept
//! with each of them. Somebody who left here, or whose mailbox is gone, is not brought back. What is refused is told by
//! the line of the file, never by the address, so that the report can be kept.

use super::store;
use super::store::import::{Imported, Incoming};
use crate::address::Address;
use crate::app::Shared;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::Path;

/// Rows in one transaction: so many that a page of an index is written for several of them, and so few that a sign-up waits
/// for no more than a tenth of a second.
const BATCH: usize = 5_000;
/// What the column of addresses may be called; the first column where none is called so.
const COLUMNS: [&str; 5] = ["email", "e-mail", "email address", "mail", "address"];

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
    let mut rows = Rows::read(bar.wrap_read(file))?;
    let mut report = Report::default();
    let mut next = sealed(app, &mut rows, &mut report).await?;
    while !next.is_empty() {
        // The next batch is read and sealed while this one is written.
        let batch = next;
        let (written, read) =
            tokio::join!(write(app, newsletter, consent, &batch, dry_run), sealed(app, &mut rows, &mut report));
        next = read?;
        for (line, became) in batch.lines.iter().zip(written?) {
            match became {
                Imported::Added => report.added += 1,
                Imported::Already => report.already += 1,
                Imported::Suppressed => {
                    report.refused.push((*line, "left here earlier, or cannot be reached".to_owned()))
                }
            }
        }
    }
    report.refused.sort();
    bar.finish_and_clear();
    Ok(report)
}

/// Addresses of the file, sealed, and the line of each.
#[derive(Default)]
struct Batch {
    lines: Vec<u64>,
    readers: Vec<Incoming>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Reads the next batch and seals it, which takes longer than reading, on another thread.
async fn sealed<R: Read>(app: &Shared, rows: &mut Rows<R>, report: &mut Report) -> Result<Batch, ImportError> {
    let (lines, addresses): (Vec<u64>, Vec<Address>) = rows.next_batch(report)?.into_iter().unzip();
    let sealing = app.clone();
    let readers = tokio::task::spawn_blocking(move || store::import::seal(&sealing.keys, addresses)).await;
    // OK because sealing does not panic, and nobody aborts it.
    Ok(Batch { lines, readers: readers.expect("sealed readers") })
}

/// What became of each of a batch.
async fn write(
    app: &Shared,
    newsletter: &str,
    consent: &str,
    batch: &Batch,
    dry_run: bool,
) -> crate::db::Result<Vec<Imported>> {
    let mut tx = app.db.begin().await?;
    let consent = store::consent_text(&mut tx, consent).await?;
    let now = app.clock.now();
    let became = store::import::import(&mut tx, &app.keys, now, (newsletter, consent), &batch.readers).await?;
    // Dropped, the transaction has not happened.
    if !dry_run {
        tx.commit().await?;
    }
    Ok(became)
}

struct Rows<R> {
    reader: csv::Reader<R>,
    column: usize,
    /// The first line, where it is no heading.
    first: Option<(u64, csv::StringRecord)>,
}

impl<R: Read> Rows<R> {
    fn read(from: R) -> Result<Rows<R>, ImportError> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(from);
        let mut first = csv::StringRecord::new();
        let is_there = reader.read_record(&mut first).map_err(csv_error)?;
        let heading = first.iter().map(|h| h.trim_start_matches('\u{feff}').to_lowercase()).collect::<Vec<_>>();
        let named = heading.iter().position(|h| COLUMNS.contains(&h.as_str()));
        let is_heading = named.is_some() || !first.iter().any(|field| field.contains('@'));
        let first = (is_there && !is_heading).then_some((1, first));
        Ok(Rows { reader, column: named.unwrap_or(0), first })
    }

    /// The next addresses with their lines. What is no address goes into the report.
    fn next_batch(&mut self, report: &mut Report) -> Result<Vec<(u64, Address)>, ImportError> {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let Some((line, record)) = self.next_record()? else { break };
            let typed = record.get(self.column).unwrap_or_default().trim_start_matches('\u{feff}');
            match Address::parse(typed) {
                Ok(address) => batch.push((line, address)),
                Err(error) => report.refused.push((line, error.to_string())),
            }
        }
        Ok(batch)
    }

    fn next_record(&mut self) -> Result<Option<(u64, csv::StringRecord)>, ImportError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let mut record = csv::StringRecord::new();
        let more = self.reader.read_record(&mut record).map_err(csv_error)?;
        let line = record.position().map_or(0, csv::Position::line);
        Ok(more.then_some((line, record)))
    }
}

/// The crate's own words may quote the line.
fn csv_error(error: csv::Error) -> ImportError {
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => ImportError::File("reading".to_owned(), error),
        csv::ErrorKind::Utf8 { .. } => ImportError::Csv(line, "it is not UTF-8"),
        _ => ImportError::Csv(line, "it cannot be read"),
    }
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
