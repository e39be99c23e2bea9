//! A file of addresses: read, put in order and sealed ahead of what is written.

use super::ImportError;
use crate::address::Address;
use crate::keys::Keys;
use crate::subscribers::store::import::{Incoming, Sealed, seal};
use std::io::Read;
use tokio::sync::mpsc::Sender;

/// Rows in one transaction: so many that a commit is little of it, and so few that a sign-up waits for no more than a tenth
/// of a second.
const BATCH: usize = 5_000;
/// Rows that are put in order together. A reader's blind index may be on any page of the index of all of them. Where a batch
/// is a part of many rows in order it is on few of its pages, several rows on each, and a page is written less often.
const WINDOW: usize = 30_000;
/// What the column of addresses may be called; the first column where none is called so.
const COLUMNS: [&str; 5] = ["email", "e-mail", "email address", "mail", "address"];

/// What is written at once.
pub struct Batch {
    /// Readers, in their order.
    pub readers: Vec<Sealed>,
    /// Lines that are no address, and why.
    pub refused: Vec<(u64, String)>,
    /// How much of the file is done when this is written, in octets.
    pub octets: u64,
}

/// Reads a file to its end and hands it on in batches: work for a thread of its own, which goes ahead of whoever takes
/// them, and stops where nobody does.
pub fn read(keys: &Keys, file: impl Read, to: &Sender<Batch>) -> Result<(), ImportError> {
    let mut rows = Rows::open(file)?;
    let mut next = Window::default();
    rows.fill(keys, &mut next, BATCH)?;
    let mut octets = 0;
    while !next.is_empty() {
        let Window { mut readers, mut refused } = std::mem::take(&mut next);
        readers.sort_unstable_by(|one, other| one.order().cmp(&other.order()));
        let (all, from, upto) = (readers.len() as u64, octets, rows.octets());
        let mut ready = readers.into_iter();
        loop {
            let batch: Vec<Incoming> = ready.by_ref().take(BATCH).collect();
            octets = upto - (upto - from) * ready.len() as u64 / all.max(1);
            let refused = std::mem::take(&mut refused);
            if to.blocking_send(Batch { readers: seal(keys, batch), refused, octets }).is_err() {
                return Ok(());
            }
            // The next window is read while this one is written, and is twice as large, up to its limit.
            rows.fill(keys, &mut next, 2 * BATCH)?;
            if ready.len() == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// Rows that are put in order together.
#[derive(Default)]
struct Window {
    readers: Vec<Incoming>,
    refused: Vec<(u64, String)>,
}

impl Window {
    fn is_empty(&self) -> bool {
        self.readers.is_empty() && self.refused.is_empty()
    }
}

struct Rows<R> {
    reader: csv::Reader<R>,
    column: usize,
    record: csv::StringRecord,
    /// Whether `record` is the first line, which is no heading.
    is_first: bool,
}

impl<R: Read> Rows<R> {
    fn open(from: R) -> Result<Rows<R>, ImportError> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(from);
        let mut record = csv::StringRecord::new();
        let is_there = reader.read_record(&mut record).map_err(csv_error)?;
        let heading = record.iter().map(|h| h.trim_start_matches('\u{feff}').to_lowercase()).collect::<Vec<_>>();
        let named = heading.iter().position(|h| COLUMNS.contains(&h.as_str()));
        let is_heading = named.is_some() || !record.iter().any(|field| field.contains('@'));
        Ok(Rows { reader, column: named.unwrap_or(0), record, is_first: is_there && !is_heading })
    }

    /// Adds up to `more` rows, as long as the window is not full.
    fn fill(&mut self, keys: &Keys, window: &mut Window, more: usize) -> Result<(), ImportError> {
        let full = WINDOW.min(window.readers.len() + more);
        while window.readers.len() < full {
            let Some(line) = self.next()? else { break };
            let typed = self.record.get(self.column).unwrap_or_default().trim_start_matches('\u{feff}');
            match Address::parse(typed) {
                Ok(address) => window.readers.push(Incoming::new(keys, line, address)),
                Err(error) => window.refused.push((line, error.to_string())),
            }
        }
        Ok(())
    }

    /// Reads the next row; its line.
    fn next(&mut self) -> Result<Option<u64>, ImportError> {
        if std::mem::take(&mut self.is_first) {
            return Ok(Some(1));
        }
        let more = self.reader.read_record(&mut self.record).map_err(csv_error)?;
        let line = self.record.position().map_or(0, csv::Position::line);
        Ok(more.then_some(line))
    }

    fn octets(&self) -> u64 {
        self.reader.position().byte()
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
