//! Handing events to the webhook: as they happen, with retries; or by hand, out of order and more than once.

use std::time::Duration;

use axum::http::header;

use super::events::Signed;
use super::{App, Shared, StandIn};

/// How long after each failed try the next one comes. Stripe goes on for three days; a demo for some minutes.
const RETRY_AFTER_SECONDS: [u64; 6] = [2, 5, 15, 60, 180, 600];
/// Stripe's patience with a webhook.
const PATIENCE: Duration = Duration::from_secs(10);

/// How events are handed over by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handing {
    /// How often each event comes.
    pub copies: usize,
    /// Out of order, by this seed.
    pub shuffle: Option<u64>,
}

impl Handing {
    /// Each event once, in order.
    pub const IN_ORDER: Handing = Handing { copies: 1, shuffle: None };
}

/// What the webhook said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Type and status of every post, in the order in which they were made. 0: no answer at all.
    pub answers: Vec<(String, u16)>,
}

impl Report {
    /// Whether every post was taken.
    pub fn all_taken(&self) -> bool {
        self.answers.iter().all(|(_, status)| (200..300).contains(status))
    }
}

impl StandIn {
    /// The events that the webhook has not taken yet, signed now, as often and in the order that was asked for. For
    /// tests that post them themselves and then call [`StandIn::answered`].
    pub fn waiting(&self, handing: Handing) -> Vec<Signed> {
        waiting(&self.app, handing)
    }

    /// Notes what the webhook answered.
    pub fn answered(&self, id: &str, taken: bool) {
        self.app.enter().world.answered(id, taken);
    }

    /// Posts what is waiting to the webhook.
    pub async fn deliver(&self, handing: Handing) -> Report {
        deliver(&self.app, handing).await
    }

    /// The header that signs a body with the secrets of this stand-in, now.
    pub fn sign(&self, body: &str) -> String {
        let at = self.app.options.clock.now().seconds();
        super::signature(body, &self.app.hook().secrets, at)
    }
}

fn waiting(app: &App, handing: Handing) -> Vec<Signed> {
    let secrets = app.hook().secrets.clone();
    let room = app.enter();
    let at = room.world.wall;
    let events = room.world.events.iter().filter(|event| !event.taken);
    let mut all: Vec<Signed> = events
        .map(|event| event.sign(&secrets, at))
        .flat_map(|signed| std::iter::repeat_n(signed, handing.copies))
        .collect();
    if let Some(seed) = handing.shuffle {
        shuffle(&mut all, seed);
    }
    all
}

pub(super) async fn deliver(app: &App, handing: Handing) -> Report {
    let url = app.hook().url.clone();
    let mut report = Report::default();
    let Some(url) = url else { return report };
    let client = client();
    for signed in waiting(app, handing) {
        let status = post(&client, &url, &signed).await;
        app.enter().world.answered(&signed.id, (200..300).contains(&status));
        report.answers.push((signed.kind, status));
    }
    report
}

/// Posts events as they happen, and again along the schedule while they are not taken.
pub(super) async fn as_they_happen(app: Shared) {
    let client = client();
    let mut tries: std::collections::HashMap<String, (usize, tokio::time::Instant)> = std::collections::HashMap::new();
    loop {
        let url = app.hook().url.clone();
        for signed in waiting(&app, Handing::IN_ORDER) {
            let Some(url) = &url else { break };
            let (count, next) = tries.get(&signed.id).copied().unwrap_or((0, tokio::time::Instant::now()));
            if next > tokio::time::Instant::now() {
                continue;
            }
            let status = post(&client, url, &signed).await;
            let taken = (200..300).contains(&status);
            app.enter().world.answered(&signed.id, taken);
            if taken {
                tries.remove(&signed.id);
            } else {
                let pause = RETRY_AFTER_SECONDS[count.min(RETRY_AFTER_SECONDS.len() - 1)];
                let next = tokio::time::Instant::now() + Duration::from_secs(pause);
                tries.insert(signed.id, (count + 1, next));
                // What waits behind it is signed anew when it is its turn: a signature is good for five minutes.
                break;
            }
        }
        let pause = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            () = app.something_happened.notified() => {}
            () = pause => {}
        }
    }
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    // OK because nothing here but the TLS of the platform can fail, and that has been set up when this runs.
    builder.build().expect("an HTTP client")
}

async fn post(client: &reqwest::Client, url: &str, signed: &Signed) -> u16 {
    let request = client
        .post(url)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::USER_AGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("stripe-signature", &signed.signature)
        .body(signed.body.clone());
    request.send().await.map_or(0, |answer| answer.status().as_u16())
}

/// Fisher and Yates, with a generator small enough to read: the same seed gives the same order.
fn shuffle<T>(all: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for last in (1..all.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (last as u64 + 1)).unwrap_or(0);
        all.swap(last, other);
    }
}
