//! One reader at a time, from the command line. There is no list of all.

use super::import::{self, Report};
use super::store;
use crate::address::Address;
use crate::app::Shared;
use std::path::PathBuf;

/// What can be done.
#[derive(clap::Subcommand)]
pub enum Command {
    /// How many read, pause and are not written to.
    Count {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Brings readers along from another service.
    Import {
        /// A CSV file with a column "email".
        file: PathBuf,
        /// The newsletter's slug.
        #[arg(long, value_name = "SLUG")]
        newsletter: String,
        /// The text that these people agreed to, kept with each as proof.
        #[arg(long, value_name = "TEXT")]
        consent: String,
        /// Changes nothing and reports the same.
        #[arg(long)]
        dry_run: bool,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// What is held about one reader.
    Show {
        /// Their address.
        address: String,
    },
    /// Erases one reader without a trace.
    Forget {
        /// Their address.
        address: String,
    },
}

/// Does it.
pub async fn run(app: &Shared, command: Command) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        Command::Count { json } => count(app, json).await,
        Command::Import { file, newsletter, consent, dry_run, json } => {
            let report = import::import(app, &file, &newsletter, &consent, dry_run).await?;
            tell(&report, dry_run, json)
        }
        Command::Show { address } => show(app, &Address::parse(&address)?).await,
        Command::Forget { address } => forget(app, &Address::parse(&address)?).await,
    }
}

async fn count(app: &Shared, json: bool) -> Result<(), Box<dyn std::error::Error>> {
    let counts = store::counts(&app.db, app.clock.now()).await?;
    if json {
        println!("{}", serde_json::to_string(&counts)?);
        return Ok(());
    }
    for (newsletter, readers) in &counts.newsletters {
        println!("{newsletter}: {readers}");
    }
    println!("readers: {}, of them paused: {}; suppressed: {}", counts.readers, counts.paused, counts.suppressed);
    Ok(())
}

fn tell(report: &Report, dry_run: bool, json: bool) -> Result<(), Box<dyn std::error::Error>> {
    if json {
        println!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    for (line, why) in &report.refused {
        println!("line {line}: {why}");
    }
    let would = if dry_run { "would be " } else { "" };
    println!("{would}added: {}, read it already: {}, refused: {}", report.added, report.already, report.refused.len());
    Ok(())
}

async fn show(app: &Shared, address: &Address) -> Result<(), Box<dyn std::error::Error>> {
    let reader = store::find_by_address(&app.db, &app.keys, address).await?.ok_or("no reader has this address")?;
    println!("edition: {}", reader.edition);
    println!("language: {}", reader.language.as_deref().unwrap_or("as the newsletter"));
    println!("discreet: {}, no requests for support: {}", reader.discreet, reader.no_asks);
    if let Some(until) = reader.paused_until {
        println!("paused until {until}");
    }
    for subscription in store::subscriptions(&app.db, reader.id).await? {
        println!("{}: agreed in the week of {}", subscription.newsletter, subscription.consent_week);
    }
    Ok(())
}

async fn forget(app: &Shared, address: &Address) -> Result<(), Box<dyn std::error::Error>> {
    let reader = store::find_by_address(&app.db, &app.keys, address).await?.ok_or("no reader has this address")?;
    let mut tx = app.db.begin().await?;
    store::remove(&mut tx, reader.id).await?;
    tx.commit().await?;
    println!("Forgotten.");
    Ok(())
}
