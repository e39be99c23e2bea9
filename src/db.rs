//! One SQL text, two databases: the only file that says SQLite or PostgreSQL.
//!
//! SQLite is the default: one file beside the program, nothing to run. PostgreSQL is for a newsroom with several
//! machines. A statement is written once, in the part of SQL that both understand, and every story runs on both, because no
//! compiler checks it. Where one of them needs words of its own, its store asks [`Db::is_postgres`].
//!
//! On SQLite there is a pool of readers and exactly one writer. The readers refuse to write, so a statement given to
//! the wrong one fails in its first test, not under load. A commit is on disk before it is answered (`synchronous =
//! FULL`), since a confirmation or a delivery that a power cut takes back is a promise broken.

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgPoolOptions, PgRow, Postgres};
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Arguments, Connection, Database, Encode, FromRow, Pool, Transaction, Type};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// What a statement answers.
pub type Result<T, E = sqlx::Error> = std::result::Result<T, E>;
/// What can go wrong in a database. Its text may quote SQL, never a bound value.
pub type Error = sqlx::Error;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// The database: SQLite's one writer and its readers, or PostgreSQL's pool.
#[derive(Clone, Debug)]
pub enum Db {
    /// One file.
    Sqlite {
        /// Connections that only read.
        readers: Pool<Sqlite>,
        /// The one connection that writes.
        writer: Pool<Sqlite>,
        /// Where background work stands in line for it: see [`Db::begin_behind`].
        line: Arc<Mutex<()>>,
    },
    /// A server.
    Postgres(Pool<Postgres>),
}

/// A transaction. Dropped without [`Tx::commit`] it is as if nothing had happened.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite's writer, begun IMMEDIATE: a deferred one that reads and then writes fails when another wrote between.
    /// With its place in the line of background work, where it has one.
    Sqlite(Transaction<'static, Sqlite>, Option<OwnedMutexGuard<()>>),
    /// On one of PostgreSQL's connections.
    Postgres(Transaction<'static, Postgres>),
}

/// A value either database can be given.
pub trait Bind: for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> {}
impl<T> Bind for T where T: for<'q> Encode<'q, Sqlite> + Type<Sqlite> + for<'q> Encode<'q, Postgres> + Type<Postgres> {}

/// A row either database can return: a tuple, or a struct with `#[derive(sqlx::FromRow)]`.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A new id for a row: random, positive, so that it tells neither an order nor a number of readers.
pub fn new_id() -> i64 {
    (i64::from_le_bytes(crate::keys::random()) & i64::MAX).max(1)
}

/// The file of a database that is one: SQLite's.
pub fn file_of(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite:")?;
    Some(PathBuf::from(path.trim_start_matches("//").split('?').next().unwrap_or(path)))
}

impl Db {
    /// Opens the database that `url` names (`sqlite:PATH` or `postgres://…`), creating SQLite's file where it is
    /// missing. Does not migrate.
    pub async fn open(url: &str) -> Result<Db> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => open_sqlite(url).await,
            Some("postgres" | "postgresql") => {
                let pool = PgPoolOptions::new()
                    .max_connections(10)
                    .acquire_timeout(Duration::from_secs(10))
                    .after_connect(|connection, _| Box::pin(end_when_frozen(connection)))
                    .connect(url)
                    .await?;
                Ok(Db::Postgres(pool))
            }
            _ => Err(Error::Configuration("the database URL must begin with sqlite: or postgres:".into())),
        }
    }

    /// Brings the tables up to date. Safe to call from several processes at once.
    pub async fn migrate(&self) -> Result<(), sqlx::migrate::MigrateError> {
        match self {
            Db::Sqlite { writer, .. } => MIGRATIONS.run(writer).await,
            Db::Postgres(pool) => MIGRATIONS.run(pool).await,
        }
    }

    /// How many migrations this program has that the database has not.
    pub async fn missing_migrations(&self) -> Result<usize> {
        let has: Result<Vec<(i64,)>> = self.read("SELECT version FROM _sqlx_migrations WHERE success").all().await;
        let has = match has {
            Ok(has) => has,
            // There is no such table yet.
            Err(Error::Database(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(MIGRATIONS.iter().filter(|wanted| !has.iter().any(|(version,)| *version == wanted.version)).count())
    }

    /// Folds SQLite's log into its file. Fails while anybody else has the database open.
    pub async fn leave_wal(&self) -> Result<()> {
        match self {
            Db::Sqlite { readers, writer, .. } => {
                readers.close().await;
                let (mode,): (String,) = sqlx::query_as("PRAGMA journal_mode = DELETE").fetch_one(writer).await?;
                if mode == "delete" { Ok(()) } else { Err(Error::PoolTimedOut) }
            }
            Db::Postgres(_) => Ok(()),
        }
    }

    /// A statement that only reads.
    pub fn read(&self, sql: &'static str) -> Query<'_> {
        Query::new(
            sql,
            match self {
                Db::Sqlite { readers, .. } => On::Sqlite(Source::Pool(readers), SqliteArguments::default()),
                Db::Postgres(pool) => On::Postgres(Source::Pool(pool), PgArguments::default()),
            },
        )
    }

    /// A statement that writes, by itself.
    pub fn write(&self, sql: &'static str) -> Query<'_> {
        Query::new(
            sql,
            match self {
                Db::Sqlite { writer, .. } => On::Sqlite(Source::Pool(writer), SqliteArguments::default()),
                Db::Postgres(pool) => On::Postgres(Source::Pool(pool), PgArguments::default()),
            },
        )
    }

    /// Begins a transaction for several statements that hold together.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Db::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?, None),
            Db::Postgres(pool) => Tx::Postgres(begin_to_the_end(pool.clone()).await?),
        })
    }

    /// Begins a transaction of background work that does many at once. On SQLite, whose one writer serves whoever came
    /// first, only one of them waits for it at a time: a request waits behind one of them and not behind all.
    pub async fn begin_behind(&self) -> Result<Tx> {
        match self {
            Db::Sqlite { writer, line, .. } => {
                let place = line.clone().lock_owned().await;
                Ok(Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?, Some(place)))
            }
            Db::Postgres(_) => self.begin().await,
        }
    }

    /// Whether this is PostgreSQL: for the one fork in SQL, `FOR UPDATE SKIP LOCKED`, and for backups.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Db::Postgres(_))
    }

    /// Has PostgreSQL look at a table that was filled a moment ago. By itself it does so a minute later, and until then it may
    /// read an issue's whole audience to find twenty readers of it. SQLite plans by its indexes alone, and needs nothing.
    pub async fn analyze(&self, sql: &'static str) -> Result<()> {
        if self.is_postgres() { self.write(sql).execute().await.map(drop) } else { Ok(()) }
    }

    /// Closes all connections, having put SQLite's log back into its file.
    pub async fn close(&self) {
        match self {
            Db::Sqlite { readers, writer, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Db::Postgres(pool) => pool.close().await,
        }
    }
}

/// Begins a transaction, also where nobody waits for it any more: then it is rolled back. Were the beginning itself dropped,
/// as a handler is when its reader goes away, sqlx 0.9 would give the connection back with the transaction open
/// (`PgTransactionManager::begin` counts it only after the answer), and what is written on it next would never be committed.
async fn begin_to_the_end(pool: Pool<Postgres>) -> Result<Transaction<'static, Postgres>> {
    tokio::spawn(async move { pool.begin().await }).await.map_err(|_| Error::WorkerCrashed)?
}

/// A process that is frozen within a transaction, or whose machine fell off the network, keeps its locks: without a limit
/// until PostgreSQL gives its connection up, which takes hours. Nothing in Friday waits for anybody within a transaction.
async fn end_when_frozen(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("SET idle_in_transaction_session_timeout = '15s'").execute(connection).await.map(drop)
}

/// When a disk is full or broken, SQLite may end a transaction by itself. sqlx 0.9 then fails to roll it back and counts it
/// as open from then on (`ConnectionWorker`, `Command::Rollback`), so that no other can begin on that connection.
async fn is_usable(connection: &mut SqliteConnection) -> Result<bool> {
    Ok(!connection.is_in_transaction())
}

async fn open_sqlite(url: &str) -> Result<Db> {
    let options = url
        .parse::<SqliteConnectOptions>()?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .pragma("secure_delete", "ON");
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(30))
        .before_acquire(|connection, _| Box::pin(is_usable(connection)))
        // KiB of pages in memory. The default of two thousand reads an index of a million readers from the file again and again.
        // To be able to take a statement back SQLite notes the pages that it changes: by default in a file outside of the data
        // folder, which was half of what an import wrote. Our statements change few pages each.
        .connect_with(options.clone().pragma("cache_size", "-16384").pragma("temp_store", "MEMORY"))
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(30))
        .connect_with(options.pragma("query_only", "ON"))
        .await?;
    Ok(Db::Sqlite { readers, writer, line: Arc::default() })
}

impl Tx {
    /// A statement of this transaction. After one that failed, drop the transaction: PostgreSQL will not go on, and
    /// its commit would answer Ok and do nothing.
    pub fn query(&mut self, sql: &'static str) -> Query<'_> {
        Query::new(
            sql,
            match self {
                Tx::Sqlite(tx, _) => On::Sqlite(Source::Lent(&mut **tx), SqliteArguments::default()),
                Tx::Postgres(tx) => On::Postgres(Source::Lent(&mut **tx), PgArguments::default()),
            },
        )
    }

    /// Whether this is PostgreSQL, as [`Db::is_postgres`].
    pub fn is_postgres(&self) -> bool {
        matches!(self, Tx::Postgres(_))
    }

    /// Makes all of it true, on disk.
    pub async fn commit(self) -> Result<()> {
        match self {
            Tx::Sqlite(tx, _) => tx.commit().await,
            Tx::Postgres(tx) => tx.commit().await,
        }
    }
}

enum Source<'c, DB: Database> {
    Pool(&'c Pool<DB>),
    Lent(&'c mut DB::Connection),
}

enum Held<'c, DB: Database> {
    Pooled(PoolConnection<DB>),
    Lent(&'c mut DB::Connection),
}

impl<'c, DB: Database> Source<'c, DB> {
    async fn hold(self) -> Result<Held<'c, DB>> {
        Ok(match self {
            Source::Pool(pool) => Held::Pooled(pool.acquire().await?),
            Source::Lent(connection) => Held::Lent(connection),
        })
    }
}

impl<DB: Database> Deref for Held<'_, DB> {
    type Target = DB::Connection;
    fn deref(&self) -> &DB::Connection {
        match self {
            Held::Pooled(connection) => connection,
            Held::Lent(connection) => connection,
        }
    }
}

impl<DB: Database> DerefMut for Held<'_, DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        match self {
            Held::Pooled(connection) => connection,
            Held::Lent(connection) => connection,
        }
    }
}

enum On<'c> {
    Sqlite(Source<'c, Sqlite>, SqliteArguments),
    Postgres(Source<'c, Postgres>, PgArguments),
}

/// A statement and the values bound to it so far.
#[must_use = "a query does nothing until it is run"]
pub struct Query<'c> {
    sql: &'static str,
    on: On<'c>,
    unencodable: Option<sqlx::error::BoxDynError>,
}

impl<'c> Query<'c> {
    fn new(sql: &'static str, on: On<'c>) -> Self {
        Query { sql, on, unencodable: None }
    }

    /// The value of the next placeholder (`$1`, `$2`, …).
    pub fn bind(mut self, value: impl Bind) -> Self {
        let added = match &mut self.on {
            On::Sqlite(_, arguments) => Arguments::add(arguments, value),
            On::Postgres(_, arguments) => Arguments::add(arguments, value),
        };
        if let Err(error) = added {
            self.unencodable.get_or_insert(error);
        }
        self
    }

    fn check(&mut self) -> Result<()> {
        self.unencodable.take().map_or(Ok(()), |error| Err(Error::Encode(error)))
    }

    /// Runs it; how many rows it changed.
    pub async fn execute(mut self) -> Result<u64> {
        self.check()?;
        Ok(match self.on {
            On::Sqlite(source, arguments) => {
                sqlx::query_with(self.sql, arguments).execute(&mut *source.hold().await?).await?.rows_affected()
            }
            On::Postgres(source, arguments) => {
                sqlx::query_with(self.sql, arguments).execute(&mut *source.hold().await?).await?.rows_affected()
            }
        })
    }

    /// Runs it; all rows.
    pub async fn all<R: Row>(mut self) -> Result<Vec<R>> {
        self.check()?;
        match self.on {
            On::Sqlite(source, arguments) => {
                sqlx::query_as_with(self.sql, arguments).fetch_all(&mut *source.hold().await?).await
            }
            On::Postgres(source, arguments) => {
                sqlx::query_as_with(self.sql, arguments).fetch_all(&mut *source.hold().await?).await
            }
        }
    }

    /// Runs it; the row, where there is one.
    pub async fn optional<R: Row>(mut self) -> Result<Option<R>> {
        self.check()?;
        match self.on {
            On::Sqlite(source, arguments) => {
                sqlx::query_as_with(self.sql, arguments).fetch_optional(&mut *source.hold().await?).await
            }
            On::Postgres(source, arguments) => {
                sqlx::query_as_with(self.sql, arguments).fetch_optional(&mut *source.hold().await?).await
            }
        }
    }

    /// Runs it; the row, which must be there.
    pub async fn one<R: Row>(self) -> Result<R> {
        self.optional().await?.ok_or(Error::RowNotFound)
    }
}
