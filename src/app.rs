//! The whole of Friday in one value, how it starts and how it stops.

use crate::clock::Clock;
use crate::config::Config;
use crate::db::{self, Db};
use crate::delivery::probe::Probes;
use crate::keys::{Drawer, KeyError, Keys};
use crate::mail::{Mailer, outbox};
use crate::newsroom::Newsroom;
use crate::ops;
use crate::support::challenge::Watch;
use crate::support::stripe::Stripe;
use crate::web::{self, Limits};
use crate::worker::{self, Bells, Task};
use crate::{articles, delivery, digest, mail, staff, subscribers, support};
use axum::Router;
use axum::middleware::from_fn;
use secrecy::ExposeSecret;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What handlers and tasks are given.
pub type Shared = Arc<App>;

/// Everything that a room may use.
#[derive(Debug)]
pub struct App {
    /// The settings.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// The way out for mails.
    pub mailer: Mailer,
    /// The time.
    pub clock: Clock,
    /// Sealing, indexes, links.
    pub keys: Keys,
    /// How often something may be asked for.
    pub limits: Limits,
    /// The way to Stripe, where giving is open.
    pub stripe: Option<Stripe>,
    /// What is known of thieves who try cards.
    pub watch: Watch,
    /// What was found out about issues that are to be sent.
    pub probes: Probes,
    /// Wakes background tasks.
    pub bells: Bells,
    /// Set when the process is to end: whoever works in a loop looks at it.
    pub stop: CancellationToken,
    newsroom: Arc<Newsroom>,
}

/// Why Friday does not start. One sentence that says what to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Db(#[from] db::Error),
    /// Its tables cannot be brought up to date.
    #[error("the database cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder of the database.
    #[error("the folder {0} cannot be made: {1}")]
    Folder(String, std::io::Error),
    /// The address to listen at.
    #[error("cannot listen at {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The server broke.
    #[error("the web server stopped: {0}")]
    Serve(std::io::Error),
    /// A background task died.
    #[error(transparent)]
    Died(#[from] worker::Died),
}

impl App {
    /// Opens database and key, and makes sure that they belong together. Migrates unless the settings say not to.
    pub async fn open(config: Config, clock: Clock) -> Result<Shared, StartError> {
        make_folder(config.database_url.expose_secret())?;
        let db = Db::open(config.database_url.expose_secret()).await?;
        if config.migrate {
            db.migrate().await?;
        }
        let keys = Keys::open_or_create(&config.key_file)?;
        check_key(&db, &keys).await?;
        let mailer = Mailer::from_config(&config, &clock);
        Ok(App::assemble(config, db, keys, mailer, clock))
    }

    /// Puts the parts together. Tests bring their own.
    pub fn assemble(config: Config, db: Db, keys: Keys, mailer: Mailer, clock: Clock) -> Shared {
        let newsroom = Arc::new(config.newsroom.clone());
        let limits = Limits::new(clock.clone());
        let (bells, stop) = (Bells::default(), CancellationToken::new());
        let stripe = config.stripe.as_ref().map(Stripe::new);
        let (watch, probes) = (Watch::default(), Probes::default());
        Arc::new(App { config, db, mailer, clock, keys, limits, stripe, watch, probes, bells, stop, newsroom })
    }

    /// The newsroom as it is set now.
    pub fn newsroom(&self) -> Arc<Newsroom> {
        self.newsroom.clone()
    }

    /// Wakes a background task.
    pub fn wake(&self, task: &'static str) {
        self.bells.ring(task);
    }

    /// What the outbox needs to hand mails over.
    pub fn outbox_hand(&self) -> outbox::Hand<'_> {
        outbox::Hand {
            db: &self.db,
            keys: &self.keys,
            mailer: &self.mailer,
            sender: self.newsroom.sender(None, self.config.host()),
            now: self.clock.now(),
        }
    }
}

fn make_folder(url: &str) -> Result<(), StartError> {
    let Some(path) = db::file_of(url) else { return Ok(()) };
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|e| StartError::Folder(folder.display().to_string(), e))
        }
        None => Ok(()),
    }
}

/// A key that does not fit would make a second set of readers beside the first, none of whom could be written to.
async fn check_key(db: &Db, keys: &Keys) -> Result<(), StartError> {
    const NAME: &str = "key";
    let kept = async || db.read("SELECT value FROM house WHERE name = $1").bind(NAME).optional::<(Vec<u8>,)>().await;
    let (sealed,) = match kept().await? {
        Some(sealed) => sealed,
        // Only the first start writes: a command that asks something waits behind nobody.
        None => {
            db.write("INSERT INTO house (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(NAME)
                .bind(keys.seal(Drawer::Staff, NAME.as_bytes(), b"friday"))
                .execute()
                .await?;
            kept().await?.ok_or(db::Error::RowNotFound)?
        }
    };
    keys.open(Drawer::Staff, NAME.as_bytes(), &sealed).map_err(|_| KeyError::OtherDatabase)?;
    Ok(())
}

/// Every route of every room, with what holds for all of them around.
pub fn routes(app: &Shared) -> Router {
    let rooms = Router::new()
        .merge(subscribers::web::routes())
        .merge(articles::desk::routes())
        .merge(digest::web::routes())
        .merge(delivery::desk::routes())
        .merge(support::web::routes())
        .merge(staff::routes())
        .merge(mail::web::routes())
        .merge(ops::web::routes());
    web::around(rooms, app).layer(from_fn(ops::web::measure))
}

/// All background work.
pub fn tasks() -> Vec<Task<Shared>> {
    let mut tasks = vec![
        Task::new(outbox::TASK, Duration::from_secs(30), |app: Shared| async move {
            outbox::step(&app.outbox_hand()).await
        }),
        Task::new("limits", Duration::from_secs(600), |app: Shared| async move {
            app.limits.tidy();
            Ok::<bool, db::Error>(false)
        }),
    ];
    tasks.extend(subscribers::task::tasks());
    tasks.extend(articles::task::tasks());
    tasks.extend(delivery::task::tasks());
    tasks.extend(staff::task::tasks());
    tasks.extend(support::task::tasks());
    tasks
}

/// What one process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duties {
    /// Answer requests.
    pub serve: bool,
    /// Do background work.
    pub work: bool,
}

/// Runs until a signal: the first drains, a second or a minute ends it.
pub async fn run(app: Shared, duties: Duties) -> Result<(), StartError> {
    let listener = match duties.serve {
        true => Some(TcpListener::bind(app.config.listen).await.map_err(|e| StartError::Listen(app.config.listen, e))?),
        false => None,
    };
    tokio::spawn(stop_on_signal(app.stop.clone()));
    let work = async {
        match duties.work {
            true => worker::run(tasks(), app.clone(), &app.bells, app.stop.clone()).await,
            false => {
                app.stop.cancelled().await;
                Ok(())
            }
        }
    };
    let (served, worked) = tokio::join!(serve(&app, listener), work);
    app.db.close().await;
    worked?;
    served
}

async fn serve(app: &Shared, listener: Option<TcpListener>) -> Result<(), StartError> {
    let Some(listener) = listener else { return Ok(()) };
    tracing::info!(listen = %app.config.listen, site = app.config.base_url, "serving");
    let service = routes(app).into_make_service_with_connect_info::<SocketAddr>();
    let stop = app.stop.clone();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await.map_err(StartError::Serve)
}

async fn stop_on_signal(stop: CancellationToken) {
    signal().await;
    tracing::info!("stopping: work in hand is finished; a second signal ends it at once");
    stop.cancel();
    tokio::select! {
        () = signal() => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => {}
    }
    tracing::error!("ended before all work in hand was finished");
    std::process::exit(1);
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    // OK because a process may always listen for its own signals.
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
