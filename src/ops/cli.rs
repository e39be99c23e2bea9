//! `friday check`, `friday backup`, `friday restore`.

use super::check::{self, Look};
use super::{Finding, State, backup};
use crate::clock::Clock;
use crate::config::Config;
use secrecy::ExposeSecret;
use std::error::Error;
use std::path::PathBuf;

/// Tries every setting for real, and says what to mend.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// One JSON object instead of lines.
    #[arg(long)]
    pub json: bool,
    /// The selector of your DKIM key, as in SELECTOR._domainkey.example.org.
    #[arg(long, value_name = "SELECTOR")]
    pub dkim_selector: Option<String>,
    /// The DNS resolver to ask, instead of the system's.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub resolver: Option<std::net::SocketAddr>,
}

/// Writes a consistent copy of the database while Friday runs. The key is not in it.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// Where to; it must not exist.
    pub file: PathBuf,
}

/// Puts a copy back. Friday must be stopped, and the key in its place.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The copy.
    pub file: PathBuf,
    /// Replace the database that is there.
    #[arg(long)]
    pub force: bool,
}

type Done = Result<(), Box<dyn Error>>;

/// Looks, and prints what it finds.
pub async fn check(settings: Result<Config, Vec<String>>, asked: Check) -> Done {
    let print = |finding: &Finding| {
        if !asked.json {
            println!("{}", finding.lines());
        }
    };
    let look = Look { dkim_selector: asked.dkim_selector.clone(), resolver: asked.resolver };
    let found = match settings {
        Ok(config) => check::everything(config, &look, print).await,
        Err(problems) => {
            let found: Vec<Finding> = problems
                .into_iter()
                .map(|p| Finding::bad("settings", p, "Mend it; the rest is looked at then."))
                .collect();
            found.iter().for_each(print);
            found
        }
    };
    let bad = found.iter().filter(|f| f.state == State::Bad).count();
    if asked.json {
        println!("{}", serde_json::json!({ "ok": bad == 0, "findings": found }));
    }
    match bad {
        0 => Ok(()),
        1 => Err("one thing does not work".into()),
        n => Err(format!("{n} things do not work").into()),
    }
}

/// Copies.
pub async fn back_up(config: &Config, asked: Backup) -> Done {
    let size = backup::back_up(config.database_url.expose_secret(), &asked.file).await?;
    println!("{} kB written to {}.", size.div_ceil(1000), asked.file.display());
    println!("The key is not in it: keep a copy of {} somewhere else.", config.key_file.display());
    Ok(())
}

/// Puts back.
pub async fn restore(config: &Config, asked: Restore) -> Done {
    let url = config.database_url.expose_secret();
    let kept = backup::restore(url, &config.key_file, &asked.file, asked.force, &Clock::system()).await?;
    println!("{} is in place again.", asked.file.display());
    if let Some(kept) = kept {
        println!("What was there before is kept as {}.", kept.display());
    }
    Ok(())
}
