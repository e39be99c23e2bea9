//! `friday stripe reconcile`.

use std::error::Error;

use clap::Subcommand;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::app::Shared;
use crate::clock::{DAY, Moment};
use crate::support::reconcile::{DEFAULT_DAYS, Report, Span, reconcile, shown};

/// Stripe.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What Stripe says and what we say. Exits 1 where they differ.
    Reconcile {
        /// From this day on (2026-11-01); thirty days back where missing. Stripe lists events for thirty days.
        #[arg(long, value_name = "DATE")]
        since: Option<Date>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Why it ends with 1.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("giving is not set up: FRIDAY_STRIPE_SECRET_KEY is missing")]
    Closed,
    #[error("{0} differences")]
    Differs(usize),
}

/// Runs it.
///
/// # Errors
/// Where the two sides differ, and where Stripe or the database fails.
pub async fn run(app: &Shared, command: Command) -> Result<(), Box<dyn Error>> {
    let Command::Reconcile { since, json } = command;
    let stripe = app.stripe.as_ref().ok_or(Refused::Closed)?;
    let since = match since {
        Some(day) => Moment::from(day.to_zoned_datetime(TimeZone::UTC)?.timestamp()),
        None => app.clock.now() - DEFAULT_DAYS * DAY,
    };
    // Up to this very second and a bit: what was given just now counts, where both sides know it.
    let until = app.clock.now() + std::time::Duration::from_secs(1);
    let report = reconcile(app, stripe, Span { since, until }).await?;
    if json {
        print_json(&report)
    } else {
        print(&report)
    }
    match report.differences.len() {
        0 => Ok(()),
        differences => Err(Refused::Differs(differences).into()),
    }
}

fn print(report: &Report) {
    println!("{} events at Stripe, {} of them had never come and were taken in.", report.events, report.taken_in);
    for (currency, (stripe, ours)) in &report.sums {
        let equal = if stripe == ours { "equal" } else { "NOT EQUAL" };
        println!(
            "{currency}: Stripe says {}, we say {}: {equal}",
            shown(currency, Some(*stripe)),
            shown(currency, Some(*ours))
        );
    }
    if report.sums.is_empty() {
        println!("No money has moved on either side.");
    }
    for difference in &report.differences {
        let (stripe, ours) =
            (shown(&difference.currency, difference.stripe), shown(&difference.currency, difference.ours));
        println!("{}: Stripe says {stripe}, we say {ours}", difference.object);
    }
}

fn print_json(report: &Report) {
    let sums: Vec<_> = report
        .sums
        .iter()
        .map(|(currency, (stripe, ours))| serde_json::json!({ "currency": currency, "stripe": stripe, "ours": ours }))
        .collect();
    println!(
        "{}",
        serde_json::json!({
            "equal": report.is_equal(), "events": report.events, "taken_in": report.taken_in, "sums": sums,
            "differences": report.differences,
        })
    );
}
