//! A stand-in for Stripe: its HTTP API, its pages and its webhooks, on loopback, without money.
//!
//! Stripe cannot be reached from a test machine, and a newcomer who tries `friday demo` has no account there. So this
//! plays the part of Stripe that Friday uses, and plays it strictly: a parameter that Stripe does not take is refused
//! as Stripe refuses it, a session asked for wrongly is not made, an idempotency key gives the first answer again. The
//! shapes are those of the API since 2025-03-31; the official SDK's types are the judge (`tests/sdk`).
//!
//! What happens is told as events, signed as Stripe signs them. They are handed over at once, or by hand: in any order,
//! each any number of times, which is what Stripe reserves the right to do. Time is a test clock: [`StandIn::advance`]
//! lets a year of renewals happen in a moment, each at its own time.
//!
//! **It cannot be mistaken for Stripe.** It listens on loopback only, takes only keys that begin with
//! `sk_test_standin`, and every object says `livemode: false`. Friday in turn talks to an API base that is not Stripe's
//! only where key, base and its own address all belong to a test (see `config`).
//!
//! Where to look: `endpoints.rs` is the table of what is played, `params.rs` the strictness, `checkout.rs`, `billing.rs`
//! and `payments.rs` what happens, `objects.rs` the shapes, `world.rs` the state, `desk.rs` the pages with buttons.

mod api;
mod billing;
mod checkout;
mod checks;
mod currency;
mod customers;
mod deliver;
mod desk;
mod endpoints;
mod error;
mod events;
mod objects;
mod params;
mod payments;
mod shapes;
mod subscriptions;
mod world;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::clock::Clock;
pub use api::KEY_PREFIX;
pub use billing::RETRIES_AFTER_DAYS;
pub use checkout::Visit;
pub use deliver::{Handing, Report};
pub use error::Error;
pub use events::{Signed, signature};
pub use payments::{Method, Outcome, fee};
use world::{World, text};

/// Today's version of the API.
pub const API_VERSION: &str = "2026-10-28.endive";

/// How a stand-in is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens: loopback, port 0 for any.
    pub listen: SocketAddr,
    /// The clock it begins with and goes on with. [`StandIn::advance`] puts its test clock ahead of this one.
    pub clock: Clock,
    /// The version of the account, and of the objects in events.
    pub api_version: String,
    /// Where events are posted; none while there is no webhook.
    pub webhook: Option<String>,
    /// The secrets that events are signed with: two while one is rolled.
    pub secrets: Vec<String>,
    /// Whether events are posted as they happen, or only when [`StandIn::deliver`] is called.
    pub at_once: bool,
    /// The same seed makes the same ids.
    pub seed: u64,
}

impl Options {
    /// A stand-in on a free port, with the secret `whsec_standin`, that posts nothing by itself.
    pub fn new(clock: Clock) -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock,
            api_version: API_VERSION.to_owned(),
            webhook: None,
            secrets: vec!["whsec_standin".to_owned()],
            at_once: false,
            seed: crate::db::new_id().unsigned_abs(),
        }
    }
}

/// A stand-in that runs. It stops when this is dropped.
pub struct StandIn {
    app: Shared,
    tasks: Vec<JoinHandle<()>>,
}

/// What every handler shares.
type Shared = Arc<App>;

/// The stand-in behind its routes.
struct App {
    options: Options,
    base_url: String,
    /// How far the test clock is ahead, in seconds.
    ahead: AtomicI64,
    room: Mutex<Room>,
    hook: Mutex<Hook>,
    something_happened: Notify,
}

struct Hook {
    url: Option<String>,
    secrets: Vec<String>,
}

/// What is behind the one lock.
struct Room {
    world: World,
    kept: HashMap<String, api::Kept>,
    faults: VecDeque<StatusCode>,
}

impl App {
    /// Locks the account and brings it to the present.
    fn enter(&self) -> MutexGuard<'_, Room> {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = self.options.clock.now().seconds();
        room.world.catch_up(wall, wall + self.ahead.load(Ordering::Relaxed));
        room
    }

    /// Tells the task that posts events that there may be some.
    fn wake(&self) {
        self.something_happened.notify_one();
    }

    fn hook(&self) -> MutexGuard<'_, Hook> {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StandIn {
    /// Starts one. An address that is not loopback is refused.
    pub async fn start(options: Options) -> io::Result<StandIn> {
        if !options.listen.ip().is_loopback() {
            let message = "the Stripe stand-in listens on loopback only";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let listener = TcpListener::bind(options.listen).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let now = options.clock.now().seconds();
        let world = World::new(options.seed, now, base_url.clone(), options.api_version.clone());
        let app = Arc::new(App {
            base_url,
            ahead: AtomicI64::new(0),
            room: Mutex::new(Room { world, kept: HashMap::new(), faults: VecDeque::new() }),
            hook: Mutex::new(Hook { url: options.webhook.clone(), secrets: options.secrets.clone() }),
            something_happened: Notify::new(),
            options,
        });
        let router = router(app.clone());
        let mut tasks = vec![tokio::spawn(async move {
            // An accept loop that ends has nobody left to tell: the handle is gone with it.
            let _ended = axum::serve(listener, router).await;
        })];
        if app.options.at_once {
            tasks.push(tokio::spawn(deliver::as_they_happen(app.clone())));
        }
        Ok(StandIn { app, tasks })
    }

    /// What `FRIDAY_STRIPE_API_BASE` is set to, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.app.base_url
    }

    /// Sets where events are posted.
    pub fn set_webhook(&self, url: &str) {
        self.app.hook().url = Some(url.to_owned());
        self.app.wake();
    }

    /// Sets the secrets that events are signed with.
    pub fn set_secrets(&self, secrets: &[&str]) {
        self.app.hook().secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
    }

    /// A reader pays a session on its page.
    pub fn pay(&self, session: &str, visit: &Visit) -> Result<Outcome, Error> {
        let outcome = self.app.enter().world.pay_session(session, visit);
        self.app.wake();
        outcome
    }

    /// Puts the test clock ahead: what is due until then happens, each at its own time.
    pub fn advance(&self, by: Duration) {
        let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        self.app.ahead.fetch_add(seconds, Ordering::Relaxed);
        self.catch_up();
    }

    /// Lets happen what is due by the clock. Every request does the same before anything else.
    pub fn catch_up(&self) {
        drop(self.app.enter());
        self.app.wake();
    }

    /// Sets what every card of a customer will do from now on.
    pub fn set_cards(&self, customer: &str, does: Method) {
        self.app.enter().world.set_cards(customer, does);
    }

    /// Sets until when the cards of a customer are good, as year and month.
    pub fn set_card_end(&self, customer: &str, year: i64, month: i64) {
        self.app.enter().world.set_card_end(customer, year, month);
    }

    /// A cardholder disputes a charge. Answers the dispute.
    pub fn open_dispute(&self, charge: &str) -> Result<Value, Error> {
        let dispute = self.app.enter().world.open_dispute(charge, "fraudulent");
        self.app.wake();
        dispute
    }

    /// A dispute is decided.
    pub fn close_dispute(&self, dispute: &str, is_won: bool) -> Result<Value, Error> {
        let dispute = self.app.enter().world.close_dispute(dispute, is_won);
        self.app.wake();
        dispute
    }

    /// A subscription is ended in Stripe's dashboard, at once.
    pub fn end_subscription(&self, id: &str) -> Result<Value, Error> {
        let ended = self.app.enter().world.cancel_subscription(id, &params::Params::default());
        self.app.wake();
        ended
    }

    /// A refund is made in Stripe's dashboard; none for all that is left.
    pub fn refund(&self, charge: &str, amount: Option<i64>) -> Result<Value, Error> {
        let refund = self.app.enter().world.refund_by_hand(charge, amount);
        self.app.wake();
        refund
    }

    /// A refund comes back.
    pub fn fail_refund(&self, refund: &str) -> Result<Value, Error> {
        let refund = self.app.enter().world.fail_refund(refund);
        self.app.wake();
        refund
    }

    /// A delayed payment is settled now, not in some days.
    pub fn settle(&self, payment_intent: &str) {
        self.app.enter().world.settle(payment_intent);
        self.app.wake();
    }

    /// The next requests are answered with these statuses, one after another.
    pub fn fail_next(&self, statuses: &[StatusCode]) {
        self.app.enter().faults.extend(statuses);
    }

    /// An object as the API would answer it, or null.
    pub fn object(&self, id: &str) -> Value {
        self.app.enter().world.get(id)
    }

    /// All objects of a kind (`charge`, `subscription`), newest first.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        self.app.enter().world.all(kind)
    }

    /// The sum of all movements in a currency: what the account's balance came to.
    pub fn balance(&self, currency: &str) -> i64 {
        let balance = self.app.enter().world.balance();
        let lines = balance["pending"].as_array().cloned().unwrap_or_default();
        lines.iter().filter(|line| line["currency"] == currency).filter_map(|line| line["amount"].as_i64()).sum()
    }

    /// The types of all events so far, oldest first.
    pub fn told(&self) -> Vec<String> {
        self.app.enter().world.events.iter().map(|event| text(&event.body, "/type")).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn router(app: Shared) -> Router {
    Router::new()
        .route("/v1", any(api::answer))
        .route("/v1/{*path}", any(api::answer))
        .route("/", get(desk::home))
        .route("/style.css", get(desk::style))
        .route("/c/pay/{id}", get(desk::checkout).post(desk::press))
        .route("/c/recover/{id}", get(desk::recover))
        .route("/p/session/{id}", get(desk::portal).post(desk::portal_press))
        .route("/receipts/{id}", get(desk::receipt))
        .route("/_standin/{act}", post(desk::control))
        .layer(axum::middleware::from_fn(desk::only_here))
        .with_state(app)
}
