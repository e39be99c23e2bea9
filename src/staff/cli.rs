//! `friday staff`: who works here, from the command line.

use std::time::Duration;

use super::{Actor, LINK_LIFE, Role, StaffError, store};
use crate::address::Address;
use crate::app::{App, Shared};

/// Who works here.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Lets somebody in: prints a one-time link with which they choose a password
    Add {
        /// Their address, with which they will sign in
        address: String,
        /// editor: articles and issues; publisher: also schedules and sends; finance: giving; admin: everything
        #[arg(long, value_parser = parse_role)]
        role: Role,
        /// Their name as colleagues see it; otherwise what stands before the @
        #[arg(long)]
        name: Option<String>,
    },
    /// Lists everybody
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ends somebody's password and sessions and prints a new one-time link
    Reset {
        /// Their address
        address: String,
    },
    /// Removes somebody: no way in any more, and the address is forgotten
    Remove {
        /// Their address
        address: String,
    },
}

fn parse_role(name: &str) -> Result<Role, String> {
    Role::parse(name).ok_or_else(|| "a role is editor, publisher, finance or admin".to_owned())
}

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] crate::address::AddressError),
    /// What was asked for cannot be.
    #[error(transparent)]
    Staff(#[from] StaffError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] crate::db::Error),
}

/// Runs one of them.
pub async fn run(app: &Shared, command: Command) -> Result<(), CliError> {
    match command {
        Command::Add { address, role, name } => add(app, &address, role, name).await,
        Command::List { json } => list(app, json).await,
        Command::Reset { address } => reset(app, &address).await,
        Command::Remove { address } => remove(app, &address).await,
    }
}

async fn add(app: &App, address: &str, role: Role, name: Option<String>) -> Result<(), CliError> {
    let address = Address::parse(address)?;
    let name = name.unwrap_or_else(|| address.local().to_owned());
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let id = store::add(&mut tx, &app.keys, Actor::Cli, now, &address, role, &name).await?;
    let path = store::invite(&mut tx, &app.keys, now, id).await?;
    tx.commit().await?;
    print_link(app, &path);
    Ok(())
}

async fn reset(app: &App, address: &str) -> Result<(), CliError> {
    let now = app.clock.now();
    let id = find(app, address).await?;
    let mut tx = app.db.begin().await?;
    let path = store::reset(&mut tx, &app.keys, Actor::Cli, now, id).await?;
    tx.commit().await?;
    print_link(app, &path);
    Ok(())
}

async fn remove(app: &App, address: &str) -> Result<(), CliError> {
    let id = find(app, address).await?;
    let mut tx = app.db.begin().await?;
    store::remove(&mut tx, Actor::Cli, app.clock.now(), id).await?;
    tx.commit().await?;
    println!("Removed, from every session as well.");
    Ok(())
}

async fn find(app: &App, address: &str) -> Result<i64, CliError> {
    let account = store::account(&app.db, &app.keys, &Address::parse(address)?).await?;
    Ok(account.ok_or(StaffError::Unknown)?.0)
}

/// The link stands alone on standard output, for scripts; what there is to say about it on standard error.
fn print_link(app: &App, path: &str) {
    let hours = LINK_LIFE.as_secs() / Duration::from_secs(3600).as_secs();
    eprintln!(
        "This link works once, for {hours} hours. Whoever opens it chooses the password: hand it over with care."
    );
    println!("{}", app.config.link(path));
}

async fn list(app: &App, json: bool) -> Result<(), CliError> {
    for person in store::people(&app.db, &app.keys).await? {
        let (address, role) = (person.address.as_str(), person.role.as_str());
        if json {
            let last = person.last_here.map(|at| at.to_string());
            println!(
                "{}",
                serde_json::json!({ "address": address, "name": person.name, "role": role, "signed_up": person.has_password, "last_here": last })
            );
        } else {
            let last = match person.last_here {
                _ if !person.has_password => "link not used yet".to_owned(),
                Some(at) => format!("last here {}", at.to_jiff().strftime("%Y-%m-%d %H:%M UTC")),
                None => "not here yet".to_owned(),
            };
            println!("{role:9}  {address}  ({}, {last})", person.name);
        }
    }
    Ok(())
}
