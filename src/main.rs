//! The subcommands: parse, call, exit code. What they do is in the rooms.

use clap::{Parser, Subcommand};
use friday::app::{self, App, Duties};
use friday::clock::Clock;
use friday::config::Config;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// A newsletter and reader-support service for a newsroom.
#[derive(Parser)]
#[command(version, propagate_version = true)]
struct Line {
    /// A TOML file with settings; the environment wins over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Pages, staff pages, webhooks and all background work, in one process.
    Serve {
        /// Serve only; `friday work` does the rest elsewhere.
        #[arg(long)]
        no_work: bool,
    },
    /// Background work only.
    Work,
    /// Brings the database up to date.
    Migrate,
    /// Where articles come from.
    Feeds {
        /// What to do.
        #[command(subcommand)]
        command: friday::articles::cli::Command,
    },
    /// An issue: put it together, try it, send it.
    Issue {
        /// What to do.
        #[command(subcommand)]
        command: Issue,
    },
    /// Friday with a sample newsroom, on a fresh folder, with nothing to set up.
    Demo(friday::demo::cli::Demo),
    Check(friday::ops::cli::Check),
    Backup(friday::ops::cli::Backup),
    Restore(friday::ops::cli::Restore),
    /// Who works here.
    Staff {
        /// What to do.
        #[command(subcommand)]
        command: friday::staff::cli::Command,
    },
    /// Stripe.
    Stripe {
        /// What to do.
        #[command(subcommand)]
        command: friday::support::cli::Command,
    },
    /// One reader at a time.
    Subscribers {
        /// What to do.
        #[command(subcommand)]
        command: friday::subscribers::cli::Command,
    },
}

/// An issue is put together by one room and sent by another.
#[derive(Subcommand)]
enum Issue {
    /// Putting it together.
    #[command(flatten)]
    Write(friday::digest::cli::Command),
    /// Sending it.
    #[command(flatten)]
    Send(friday::delivery::cli::Command),
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
    let line = Line::parse();
    match run(line).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("friday: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `friday issue show 1 | head`: println panics when the pipe is closed. Other programs end by SIGPIPE there, without a
/// word; so does this one, with the code that a shell gives them.
fn end_quietly_when_nobody_reads() {
    const ENDED_BY_SIGPIPE: i32 = 128 + 13;
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(ENDED_BY_SIGPIPE);
        }
        report(panic);
    }));
}

async fn run(line: Line) -> Result<(), Failure> {
    if let Some(Command::Demo(demo)) = line.command {
        return friday::demo::cli::run(demo, start_log).await;
    }
    let settings = Config::load(line.config.as_deref());
    // Wrong settings are a finding too.
    if let Some(Command::Check(asked)) = line.command {
        return friday::ops::cli::check(settings, asked).await;
    }
    let config = settings.map_err(|problems| problems.join("\nfriday: "))?;
    start_log(&config)?;
    let open = async |config: Config| App::open(config, Clock::system()).await;
    match line.command.unwrap_or(Command::Serve { no_work: false }) {
        Command::Serve { no_work } => Ok(app::run(open(config).await?, Duties { serve: true, work: !no_work }).await?),
        Command::Work => Ok(app::run(open(config).await?, Duties { serve: false, work: true }).await?),
        Command::Migrate => {
            open(Config { migrate: true, ..config }).await?;
            println!("The database is up to date.");
            Ok(())
        }
        Command::Feeds { command } => Ok(friday::articles::cli::run(&open(config).await?, command).await?),
        Command::Issue { command: Issue::Write(command) } => {
            friday::digest::cli::run(&open(config).await?, command).await
        }
        Command::Issue { command: Issue::Send(command) } => {
            friday::delivery::cli::run(&open(config).await?, command).await
        }
        Command::Demo(_) => unreachable!("the demo has settings of its own"),
        Command::Check(_) => unreachable!("a check was run above"),
        Command::Backup(asked) => friday::ops::cli::back_up(&config, asked).await,
        Command::Restore(asked) => friday::ops::cli::restore(&config, asked).await,
        Command::Staff { command } => Ok(friday::staff::cli::run(&open(config).await?, command).await?),
        Command::Stripe { command } => friday::support::cli::run(&open(config).await?, command).await,
        Command::Subscribers { command } => friday::subscribers::cli::run(&open(config).await?, command).await,
    }
}

/// Logs go to standard error, so that what a command prints can be piped.
fn start_log(config: &Config) -> Result<(), Failure> {
    // sqlx logs statements, which are ours and hold no values; below a warning they are noise.
    let filter = EnvFilter::try_new(format!("sqlx=warn,hyper=warn,{}", config.log))
        .map_err(|_| format!("FRIDAY_LOG: \"{}\" is not a level such as info", config.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_json {
        true => log.json().init(),
        false => log.with_target(false).init(),
    }
    Ok(())
}
