//! A copy of everything but the key, made while Friday runs, and the way back.
//!
//! On SQLite the copy is a database made by `VACUUM INTO`: one moment of the whole, without the pages that deleted rows
//! left behind. On PostgreSQL it is `pg_dump`'s own format. Which of the two a file is, its first bytes say.
//!
//! Restoring is the one command that can lose everything at once. So it looks first (is it whole, does the key fit, is
//! nobody at work?) and only then acts; it replaces nothing without being told to, and on SQLite what was there stays
//! beside it.

use super::store;
use crate::clock::Clock;
use crate::db::{self, Db};
use crate::keys::{Drawer, KeyError, Keys};
use reqwest::Url;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How often PostgreSQL is asked whether everybody has left.
const GOODBYES: usize = 10;

/// Why there is no copy, or no way back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database.
    #[error("the database: {0}")]
    Db(#[from] db::Error),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file.
    #[error("{0}: {1}")]
    File(String, std::io::Error),
    /// There is something already.
    #[error("{0} is there already; nothing was written over it")]
    Exists(String),
    /// The database to be replaced is not empty.
    #[error("there is a database already; --force replaces it")]
    Occupied,
    /// Somebody works with the database.
    #[error("the database is in use: stop Friday first")]
    InUse,
    /// Not a copy, or not of this kind of database.
    #[error("{0}")]
    Unfit(String),
    /// PostgreSQL's tools.
    #[error("{0} is not installed: it comes with PostgreSQL's client programs (Debian: postgresql-client)")]
    NoTool(&'static str),
    /// They failed.
    #[error("{0} failed: {1}")]
    Tool(&'static str, String),
}

/// Writes a copy of the database at `url` to `file`, which must not exist. How large it is, in octets.
pub async fn back_up(url: &str, file: &Path) -> Result<u64, BackupError> {
    if file.exists() {
        return Err(BackupError::Exists(file.display().to_string()));
    }
    // Under another name until it is whole: a copy that is there is a copy that can be trusted.
    let part = beside(file, "part");
    match db::file_of(url) {
        Some(data) if !data.exists() => {
            return Err(BackupError::Unfit(format!("there is no database at {}", data.display())));
        }
        Some(_) => {
            private_file(&part)?;
            let db = Db::open(url).await?;
            let done = db.write("VACUUM INTO $1").bind(part.display().to_string()).execute().await;
            db.close().await;
            done.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
        }
        None => {
            private_file(&part)?;
            let dump = ["--format=custom", "--no-owner", "--no-privileges", "--file"];
            let done = tool("pg_dump", url, Command::new("pg_dump").args(dump).arg(&part)).await;
            done.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
        }
    }
    let on_disk = std::fs::File::open(&part).and_then(|f| f.sync_all().and_then(|()| f.metadata()));
    let size = on_disk.map_err(|e| file_error(&part, e))?.len();
    rename(&part, file)?;
    Ok(size)
}

/// Puts the copy in `file` in the place of the database at `url`. Where the database that was there is kept, if one was.
pub async fn restore(
    url: &str,
    key_file: &Path,
    file: &Path,
    force: bool,
    clock: &Clock,
) -> Result<Option<PathBuf>, BackupError> {
    // Never made here: a new key would fit no copy.
    if !key_file.exists() {
        return Err(BackupError::Unfit(format!("there is no key at {}: put it back first", key_file.display())));
    }
    let keys = Keys::open_or_create(key_file)?;
    let is_dump = match &first_bytes(file)? {
        b"PGDMP" => true,
        b"SQLit" => false,
        _ => return Err(BackupError::Unfit(format!("{} is not a copy made by friday backup", file.display()))),
    };
    match db::file_of(url) {
        Some(data) if !is_dump => restore_file(&data, &keys, file, force, clock).await,
        None if is_dump => restore_dump(url, &keys, file, force).await.map(|()| None),
        Some(_) => {
            Err(BackupError::Unfit("this copy is of a PostgreSQL database, and the settings name a file".to_owned()))
        }
        None => {
            Err(BackupError::Unfit("this copy is of a SQLite database, and the settings name PostgreSQL".to_owned()))
        }
    }
}

async fn restore_file(
    data: &Path,
    keys: &Keys,
    file: &Path,
    force: bool,
    clock: &Clock,
) -> Result<Option<PathBuf>, BackupError> {
    if data.exists() && !force {
        return Err(BackupError::Occupied);
    }
    let folder = data.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| file_error(folder, e))?;
    // All looking is done in a copy of the copy, beside the place it is meant for, so that the last step is a rename.
    let new = beside(data, "restoring");
    let _ = std::fs::remove_file(&new);
    private_file(&new)?;
    std::fs::copy(file, &new).map_err(|e| file_error(&new, e))?;
    let checked = check_file(&new, keys).await;
    let freed = match checked {
        Ok(()) if data.exists() => make_free(data).await,
        other => other,
    };
    if let Err(error) = freed {
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", new.display()));
        }
        return Err(error);
    }
    let kept = data.exists().then(|| beside(data, &format!("before-{}", clock.now().seconds())));
    if let Some(kept) = &kept {
        rename(data, kept)?;
    }
    rename(&new, data)?;
    Ok(kept)
}

async fn check_file(copy: &Path, keys: &Keys) -> Result<(), BackupError> {
    let db = Db::open(&format!("sqlite:{}", copy.display())).await?;
    let looked = async {
        let (whole,): (String,) = db.read("PRAGMA integrity_check(1)").one().await?;
        if whole != "ok" {
            return Err(BackupError::Unfit("the copy is damaged".to_owned()));
        }
        fits(keys, store::key_mark(&db).await.ok().flatten())
    };
    let looked = looked.await;
    db.close().await;
    looked
}

/// Folds SQLite's log into the file, which only works while nobody else has it open.
async fn make_free(data: &Path) -> Result<(), BackupError> {
    let db = Db::open(&format!("sqlite:{}", data.display())).await?;
    let free = db.leave_wal().await;
    db.close().await;
    free.map_err(|_| BackupError::InUse)
}

async fn restore_dump(url: &str, keys: &Keys, file: &Path, force: bool) -> Result<(), BackupError> {
    let house = tool(
        "pg_restore",
        url,
        Command::new("pg_restore").args(["--data-only", "--table=house", "--file=-"]).arg(file),
    )
    .await?;
    fits(keys, key_in_dump(&house))?;
    let (has_tables, others) = look_around(url).await?;
    if has_tables && !force {
        return Err(BackupError::Occupied);
    }
    if others > 0 {
        return Err(BackupError::InUse);
    }
    let (database, _) = connection(url)?;
    // All or nothing: a copy that breaks off in the middle leaves what was there.
    let whole = [
        "--no-owner",
        "--no-privileges",
        "--single-transaction",
        "--exit-on-error",
        "--clean",
        "--if-exists",
        "--dbname",
    ];
    tool("pg_restore", url, Command::new("pg_restore").args(whole).arg(database).arg(file)).await?;
    Ok(())
}

/// Whether there are tables, and how many others are connected. The server sees a connection for a moment after it was
/// closed, so whoever is there is given a second to leave.
async fn look_around(url: &str) -> Result<(bool, i64), BackupError> {
    let mut looked = (false, 0);
    for round in 0..GOODBYES {
        if round > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let db = Db::open(url).await?;
        let answer = store::occupied(&db).await;
        db.close().await;
        looked = answer?;
        if looked.1 == 0 {
            break;
        }
    }
    Ok(looked)
}

fn fits(keys: &Keys, mark: Option<Vec<u8>>) -> Result<(), BackupError> {
    let mark = mark.ok_or_else(|| BackupError::Unfit("this is not a copy of Friday's database".to_owned()))?;
    keys.open(Drawer::Staff, b"key", &mark).map_err(|_| {
        BackupError::Unfit(
            "the key does not fit this copy: put back the key that was there when it was made".to_owned(),
        )
    })?;
    Ok(())
}

/// The mark among the rows that `pg_restore` writes for the table `house`: name, tab, `\\x` and hexadecimal digits.
fn key_in_dump(text: &str) -> Option<Vec<u8>> {
    let hex = text.lines().find_map(|line| line.strip_prefix("key\t\\\\x"))?;
    data_encoding::HEXLOWER.decode(hex.trim().as_bytes()).ok()
}

/// Runs one of PostgreSQL's programs on the database at `url`; what it printed. The password goes by the environment,
/// because every user of a machine may read a command line.
async fn tool(name: &'static str, url: &str, command: &mut Command) -> Result<String, BackupError> {
    let (_, variables) = connection(url)?;
    let output =
        command.envs(variables).stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(|error| match error
            .kind()
        {
            std::io::ErrorKind::NotFound => BackupError::NoTool(name),
            _ => BackupError::Tool(name, error.to_string()),
        })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(BackupError::Tool(name, said.lines().next().unwrap_or("it did not say why").to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Names and values.
type Variables = Vec<(&'static str, String)>;

/// The database's name, and the variables that PostgreSQL's programs read for the rest of a URL.
fn connection(url: &str) -> Result<(String, Variables), BackupError> {
    let unfit = || BackupError::Unfit("the database URL cannot be read".to_owned());
    // A URL of another scheme may not begin with a socket's path; only its parts are wanted here.
    let url = Url::parse(url).map_err(|_| unfit())?;
    let plain = |text: &str| percent_decoded(text);
    let mut variables = Vec::new();
    let mut set = |name, value: String| {
        if !value.is_empty() {
            variables.retain(|(other, _)| *other != name);
            variables.push((name, value));
        }
    };
    set("PGHOST", plain(url.host_str().unwrap_or_default()).trim_matches(['[', ']']).to_owned());
    set("PGPORT", url.port().map(|port| port.to_string()).unwrap_or_default());
    set("PGUSER", plain(url.username()));
    set("PGPASSWORD", plain(url.password().unwrap_or_default()));
    let mut database = plain(url.path().trim_start_matches('/'));
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "host" | "hostaddr" => set("PGHOST", value.into_owned()),
            "port" => set("PGPORT", value.into_owned()),
            "user" => set("PGUSER", value.into_owned()),
            "password" => set("PGPASSWORD", value.into_owned()),
            "dbname" => database = value.into_owned(),
            "sslmode" => set("PGSSLMODE", value.into_owned()),
            "sslrootcert" => set("PGSSLROOTCERT", value.into_owned()),
            "sslcert" => set("PGSSLCERT", value.into_owned()),
            "sslkey" => set("PGSSLKEY", value.into_owned()),
            _ => {}
        }
    }
    variables.push(("PGDATABASE", database.clone()));
    Ok((database, variables))
}

fn percent_decoded(text: &str) -> String {
    let pairs = format!("v={}", text.replace('+', "%2B"));
    let mut url = Url::parse("http://localhost/").ok();
    url.iter_mut().for_each(|url| url.set_query(Some(&pairs)));
    url.and_then(|url| url.query_pairs().next().map(|(_, value)| value.into_owned())).unwrap_or_default()
}

fn first_bytes(file: &Path) -> Result<[u8; 5], BackupError> {
    let mut bytes = [0; 5];
    let read = std::fs::File::open(file).and_then(|mut f| f.read_exact(&mut bytes));
    match read {
        // Shorter than that is no copy.
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok([0; 5]),
        other => other.map(|()| bytes).map_err(|e| file_error(file, e)),
    }
}

/// Makes a file that only its owner may read, where there is none.
fn private_file(path: &Path) -> Result<(), BackupError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Err(BackupError::Exists(path.display().to_string())),
        Err(e) => Err(file_error(path, e)),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::rename(from, to).map_err(|e| file_error(to, e))
}

fn file_error(path: &Path, error: std::io::Error) -> BackupError {
    BackupError::File(path.display().to_string(), error)
}
