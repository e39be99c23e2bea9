//! Numbers for whoever watches: how many, how fast, and what waits. Never who.
//!
//! Rooms count where something happens (`metrics::counter!("friday_…")`); without a recorder that costs nothing and does
//! nothing. A label holds only what Friday itself chose: a route's pattern, a kind of mail, an outcome. Never a path, an
//! address, a token or a country, since a label is kept for as long as the monitoring likes.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds in seconds of how long answers take.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
static ANSWERS: AtomicU64 = AtomicU64::new(0);

/// The recorder of this process, begun with the first call; none where the process has another already.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    let begin = || {
        // OK because the list of bounds is not empty.
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).expect("bounds");
        let handle = builder.install_recorder().ok()?;
        describe();
        Some(handle)
    };
    RECORDER.get_or_init(begin).as_ref()
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!("friday_http_requests_total", "Requests, by route and status");
    describe_histogram!("friday_http_request_seconds", Unit::Seconds, "How long answers took, by route");
    describe_counter!("friday_sign_ups_total", "Sign-ups by step: asked, ignored (a program), confirmed");
    describe_counter!("friday_mails_total", "Mails to one reader, by kind and outcome: sent, later, failed");
    describe_counter!("friday_deliveries_total", "Tries to hand an issue to the mail server, by outcome");
    describe_counter!("friday_stripe_events_total", "Stripe's webhooks, by outcome: taken, repeated, refused");
    describe_gauge!("friday_mails_waiting", "Mails in the outbox");
    describe_gauge!("friday_deliveries_waiting", "Readers whose issue is on its way");
    describe_gauge!("friday_feeds_failing", "Feeds whose last reading failed");
}

/// Counts one answer.
pub fn answered(route: &str, status: u16, seconds: f64) {
    let labels = [("route", route.to_owned()), ("status", status.to_string())];
    metrics::counter!("friday_http_requests_total", &labels).increment(1);
    metrics::histogram!("friday_http_request_seconds", "route" => route.to_owned()).record(seconds);
    // Samples are kept until somebody puts them into their buckets. A server that nobody watches must not grow.
    if ANSWERS.fetch_add(1, Ordering::Relaxed) % 1024 == 1023
        && let Some(recorder) = RECORDER.get().and_then(Option::as_ref)
    {
        recorder.run_upkeep();
    }
}
