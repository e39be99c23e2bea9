//! Friday with a sample newsroom: its own site with two feeds, an issue ready to send, somebody who may send it, a
//! mailbox and a stand-in for Stripe.
//!
//! Everything is the real thing but the mail server and Stripe. It lives in a folder of its own and listens on loopback
//! only, because the mailbox shows every mail and the printed link lets anybody in.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;

use super::site::{self, Site};
use super::stripe::{Options, StandIn};
use crate::address::Address;
use crate::app::{self, App, Duties, Shared};
use crate::clock::Clock;
use crate::config::Config;
use crate::digest::{Draft, DraftLine};
use crate::staff::{Actor, Role};
use crate::{articles, db, digest, staff};

type Failure = Box<dyn std::error::Error>;

/// Where Friday listens if nothing else does.
const PORT: u16 = 8080;
/// Who works at the Courier.
const EDITOR: (&str, &str) = ("mirena@courier.example", "Mirena");
/// How many articles the issue begins with.
const ARTICLES: usize = 10;
const SECRET: &str = "whsec_demo";

/// The issues that wait to be sent: newsletter, language of its articles, subject, preheader, introduction.
const ISSUES: [[&str; 5]; 2] = [
    [
        "weekly",
        "en",
        "Forty-one pilots",
        "Also: a map in court, a dark evening in Tarn, and a light that should be out",
        "Good morning.\n\nThis was a week of people who did not sign, and of one who did and wrote to us about it. \
         If you read only one thing, read [her letter](http://{site}/articles/signed).\n\n\
         The ferries may run again by the time you open this. We will say so on our site.",
    ],
    [
        "pyatnitsa",
        "ru",
        "Сорок один лоцман",
        "А ещё: карта в суде, цена хлеба и маяк, который должны были погасить",
        "Доброе утро.\n\nЭта неделя о тех, кто не подписал. Если времени мало, прочитайте \
         [про маяк](http://{site}/articles/mayak).",
    ],
];

/// Runs the demo until the process is told to stop.
pub async fn run(
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    start_log: impl FnOnce(&Config) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let listen = free_address(listen).await?;
    let folder = Folder::new(data)?;
    let base_url = format!("http://localhost:{}", listen.port());
    let clock = Clock::system();

    let stripe = StandIn::start(Options {
        secrets: vec![SECRET.to_owned()],
        webhook: Some(format!("{base_url}/stripe/webhook")),
        at_once: true,
        ..Options::new(clock.clone())
    })
    .await?;
    let site = serve_site(&base_url, &clock).await?;

    let newsroom = folder.path.join("newsroom.toml");
    std::fs::write(&newsroom, include_str!("newsroom.toml").replace("{site}", &site))?;
    let config = settings(&folder.path, &newsroom, listen, &base_url, stripe.base_url())?;
    start_log(&config)?;
    let app = App::open(config, clock).await?;
    articles::task::step(&app).await.map_err(|error| error.to_string())?;
    for issue in ISSUES {
        draft(&app, issue, &site).await?;
    }
    let link = invite(&app).await?;
    print_where_to_click(&app, &folder, &site, &link, stripe.base_url());
    app::run(app, Duties { serve: true, work: true }).await?;
    Ok(())
}

/// The address that was asked for, or port 8080, or any other: a newcomer may well have something there.
async fn free_address(asked: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    if let Some(asked) = asked {
        if !asked.ip().is_loopback() {
            return Err(
                "the demo listens on loopback only: its mailbox and its sign-in link are for this machine".into()
            );
        }
        let listener = TcpListener::bind(asked).await.map_err(|error| format!("cannot listen at {asked}: {error}"))?;
        return Ok(listener.local_addr()?);
    }
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    };
    Ok(listener.local_addr()?)
}

/// The folder with the demo's data. One that the demo made is removed at the end.
struct Folder {
    path: PathBuf,
    is_ours: bool,
}

impl Folder {
    fn new(asked: Option<PathBuf>) -> Result<Folder, Failure> {
        let is_ours = asked.is_none();
        let path = asked.unwrap_or_else(|| std::env::temp_dir().join(format!("friday-demo-{}", db::new_id())));
        let is_empty = std::fs::read_dir(&path).map_or(true, |mut entries| entries.next().is_none());
        if !is_empty {
            return Err(format!("{} is not empty: the demo begins on a fresh folder", path.display()).into());
        }
        std::fs::create_dir_all(&path).map_err(|error| format!("{} cannot be made: {error}", path.display()))?;
        Ok(Folder { path, is_ours })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "the demo's folder could not be removed");
        }
    }
}

/// Starts the newsroom's own site. Answers its host and port.
async fn serve_site(friday: &str, clock: &Clock) -> std::io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let site = listener.local_addr()?.to_string();
    let routes = site::routes(Site { site: site.clone(), friday: friday.to_owned(), clock: clock.clone() });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "the newsroom's own site stopped");
        }
    });
    Ok(site)
}

/// The settings, as a newsroom would write them, and checked as one's would be.
fn settings(
    folder: &Path,
    newsroom: &Path,
    listen: SocketAddr,
    base_url: &str,
    stripe: &str,
) -> Result<Config, Failure> {
    let text = |path: &Path| path.display().to_string();
    let all = [
        ("DATABASE_URL", format!("sqlite:{}", text(&folder.join("friday.db")))),
        ("KEY_FILE", text(&folder.join("friday.key"))),
        ("NEWSROOM", text(newsroom)),
        ("LISTEN", listen.to_string()),
        ("BASE_URL", base_url.to_owned()),
        ("FETCH_PRIVATE", "true".to_owned()),
        ("STRIPE_SECRET_KEY", "sk_test_standin_demo".to_owned()),
        ("STRIPE_WEBHOOK_SECRETS", SECRET.to_owned()),
        ("STRIPE_API_BASE", stripe.to_owned()),
        ("LOG", "warn".to_owned()),
    ];
    let all: BTreeMap<String, String> =
        all.into_iter().map(|(name, value)| (format!("FRIDAY_{name}"), value)).collect();
    Ok(Config::from_sources(all, None).map_err(|problems| problems.join("; "))?)
}

/// A draft, filled and ready to send.
async fn draft(
    app: &Shared,
    [newsletter, language, subject, preheader, introduction]: [&str; 5],
    site: &str,
) -> Result<(), Failure> {
    let newest = articles::store::newest(&app.db, 100).await?;
    let lines = newest.into_iter().filter(|article| article.language.as_deref() == Some(language)).take(ARTICLES);
    let draft = Draft {
        subject: subject.to_owned(),
        preheader: preheader.to_owned(),
        introduction: introduction.replace("{site}", site),
        ask_after: Some(digest::ASK_LAST),
        lines: lines
            .map(|article| DraftLine { article_id: article.id, section: article.section, ..DraftLine::default() })
            .collect(),
    };
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let id = digest::store::create(&mut tx, now, newsletter, subject).await?;
    digest::store::save(&mut tx, now, id, now, &draft).await?;
    staff::store::record(&mut tx, &Actor::Cli, now, "issue.new", &format!("issue {id}")).await?;
    tx.commit().await?;
    Ok(())
}

/// Somebody who may do everything, and the link by which they come in.
async fn invite(app: &Shared) -> Result<String, Failure> {
    let (address, name) = EDITOR;
    let address = Address::parse(address)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let id = staff::store::add(&mut tx, &app.keys, Actor::Cli, now, &address, Role::Admin, name).await?;
    let path = staff::store::invite(&mut tx, &app.keys, now, id).await?;
    tx.commit().await?;
    Ok(app.config.link(&path))
}

fn print_where_to_click(app: &Shared, folder: &Folder, site: &str, link: &str, stripe: &str) {
    let base = &app.config.base_url;
    println!("Friday is here, with a sample newsroom called {}.\n", app.newsroom().name);
    println!("  1  Sign up as a reader            {base}/newsletters/weekly");
    println!("  2  Read the confirmation          {base}/mailbox");
    println!("  3  Send the issue that is ready   {link}");
    println!("     (the link lets {} in once and asks for a password)", EDITOR.1);
    println!("  4  See it arrive                  {base}/mailbox");
    println!("  5  Give, without any money        {base}/support");
    println!("     (Stripe is a stand-in; time passes and cards break at {stripe})\n");
    println!("The newsroom’s own site, with its feeds, is http://{site}/");
    let end = if folder.is_ours { "removed when you stop it" } else { "kept when you stop it" };
    println!("Its data is in {}, {end}: Ctrl-C.", folder.path.display());
}
