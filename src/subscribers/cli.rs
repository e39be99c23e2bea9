//! x
#[derive(clap::Subcommand)]
pub enum Command { Count }
pub async fn run(_: &crate::app::Shared, _: Command) -> Result<(), Box<dyn std::error::Error>> { Ok(()) }
