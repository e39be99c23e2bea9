//! The ledger for the accountant: a CSV of a month, or of as long as is asked for.
//!
//! A spreadsheet runs what begins with `=`, `+`, `-`, `@`, a tab or a line's end as a formula (OWASP, "CSV Injection"). Nothing
//! in the ledger is anybody's own text, but ids come from outside: whatever is no number of ours gets an apostrophe.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::app::Shared;
use crate::clock::Moment;
use crate::staff::{self, Desk, Role};
use crate::support::store::figures::{self, Row};
use crate::web::{Form, Problem};

/// Lines that are read at once.
const PAGE: i64 = 1_000;
const HEAD: [&str; 8] = ["time", "kind", "frequency", "currency", "amount", "stripe_id", "payment", "recurring_gift"];

#[derive(Deserialize)]
pub(super) struct Wanted {
    /// The first day, `2026-11-01`.
    #[serde(default)]
    from: String,
    /// The last day.
    #[serde(default)]
    to: String,
}

/// Answers the lines between two days, both included, in the newsroom's time. By POST, because it is noted in the log.
pub(super) async fn download(
    State(app): State<Shared>,
    desk: Desk,
    Form(wanted): Form<Wanted>,
) -> Result<Response, Problem> {
    desk.require(Role::Finance)?;
    let zone = app.newsroom().zone();
    let days = wanted.from.parse::<Date>().ok().zip(wanted.to.parse::<Date>().ok());
    let Some((first, last)) = days.filter(|(first, last)| first <= last) else {
        return Err(Problem::Bad("Type two days such as 2026-11-01, the first one first.".to_owned()));
    };
    let (from, to) =
        (start(first, &zone)?, start(last.checked_add(Span::new().days(1)).map_err(|_| Problem::Internal)?, &zone)?);
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    staff::log::record(&mut tx, &desk, now, "support.export", &format!("{first} to {last}")).await?;
    tx.commit().await?;
    let csv = write(&app, from, to, &zone).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"ledger-{first}-{last}.csv\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from(csv)).into_response())
}

fn start(day: Date, zone: &TimeZone) -> Result<Moment, Problem> {
    let bad = |_| Problem::Bad("There is no such day.".to_owned());
    Ok(day.to_zoned_datetime(zone.clone()).map_err(bad)?.timestamp().into())
}

async fn write(app: &Shared, from: Moment, to: Moment, zone: &TimeZone) -> Result<Vec<u8>, Problem> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(HEAD).map_err(|_| Problem::Internal)?;
    let mut after = (Moment::from_millis(i64::MIN), String::new());
    loop {
        let rows = figures::rows(&app.db, from, to, after.clone(), PAGE).await?;
        for row in &rows {
            csv.write_record(record(row, zone)).map_err(|_| Problem::Internal)?;
        }
        match rows.last() {
            Some(last) => after = (last.at, last.object_id.clone()),
            None => return csv.into_inner().map_err(|_| Problem::Internal),
        }
    }
}

fn record(row: &Row, zone: &TimeZone) -> [String; 8] {
    [
        row.at.to_jiff().to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        serde_json::to_value(row.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default(),
        row.frequency.map(|frequency| frequency.to_string()).unwrap_or_default(),
        safe(&row.currency),
        row.money().map(|money| money.plain()).unwrap_or_default(),
        safe(&row.object_id),
        safe(row.payment_intent.as_deref().unwrap_or_default()),
        safe(row.subscription_id.as_deref().unwrap_or_default()),
    ]
}

/// A text that no spreadsheet takes for a formula.
fn safe(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            assert!(safe(bad).starts_with('\''), "{bad}");
        }
        assert_eq!(safe("pi_1"), "pi_1");
    }
}
