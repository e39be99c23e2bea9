//! `friday demo` and `friday demo stripe`.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::stripe::{Options, StandIn};
use crate::clock::Clock;

/// What can be tried.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Only the stand-in for Stripe, for scripts and for Stripe's own SDKs.
    Stripe(Stripe),
}

/// The stand-in's settings.
#[derive(Debug, Args)]
pub struct Stripe {
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
    #[arg(long, default_value = super::stripe::API_VERSION, value_name = "VERSION")]
    api_version: String,
}

impl Stripe {
    /// Runs the stand-in until the process is told to stop.
    pub async fn run(self) -> std::io::Result<()> {
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
        tokio::signal::ctrl_c().await
    }
}
