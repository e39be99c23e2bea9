//! `friday demo` and `friday demo stripe`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::run;
use super::stripe::{API_VERSION, Options, StandIn};
use crate::clock::Clock;
use crate::config::Config;

type Failure = Box<dyn std::error::Error>;

/// Friday with a sample newsroom, on a fresh folder, with nothing to set up.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Demo {
    #[command(subcommand)]
    part: Option<Part>,
    /// Where Friday listens: loopback only. Without it, port 8080, or any other where that is taken.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The folder for its data, which must be empty or not there. Without it a new one, removed at the end.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Only the stand-in for Stripe, for scripts and for Stripe's own SDKs.
    Stripe(Stripe),
}

/// The stand-in's settings.
#[derive(Debug, Args)]
struct Stripe {
    /// Where it listens: loopback only. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:12111", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where events are posted.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// Post events only when `POST /_standin/deliver` says so, in the order and as often as it says.
    #[arg(long)]
    by_hand: bool,
    /// What events are signed with; several, separated by commas, as while one is rolled.
    #[arg(long, default_value = "whsec_standin", value_delimiter = ',', value_name = "SECRET")]
    secrets: Vec<String>,
    /// The version of the API that events are written in.
    #[arg(long, default_value = API_VERSION, value_name = "VERSION")]
    api_version: String,
}

/// Runs until the process is told to stop. The log is the caller's to start, by the demo's settings.
pub async fn run(demo: Demo, start_log: impl FnOnce(&Config) -> Result<(), Failure>) -> Result<(), Failure> {
    match demo.part {
        Some(Part::Stripe(stripe)) => stripe.run().await,
        None => run::run(demo.listen, demo.data, start_log).await,
    }
}

impl Stripe {
    async fn run(self) -> Result<(), Failure> {
        let options = Options {
            listen: self.listen,
            webhook: self.webhook,
            secrets: self.secrets,
            api_version: self.api_version,
            at_once: !self.by_hand,
            ..Options::new(Clock::system())
        };
        let standin = StandIn::start(options).await?;
        println!("Stripe stand-in: {}", standin.base_url());
        println!("Its desk, where time passes and cards break, is the same address in a browser.");
        println!("Keys begin with sk_test_standin. No money moves.");
        Ok(tokio::signal::ctrl_c().await?)
    }
}
