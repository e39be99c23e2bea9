//! Signs of life: `/healthz` (the process answers), `/readyz` (it can work), `/metrics`.

use super::{metrics, store};
use crate::app::Shared;
use crate::web::{Peer, Problem};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::ExposeSecret;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::time::{Instant, timeout};

/// A database that is slower than this is not ready.
const READY: Duration = Duration::from_secs(2);

/// The room's routes.
pub fn routes() -> Router<Shared> {
    metrics::recorder();
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(show_metrics))
}

/// Counts and times every answer, by the pattern of its route.
pub async fn measure(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let began = Instant::now();
    let response = next.run(request).await;
    metrics::answered(&route, response.status().as_u16(), began.elapsed().as_secs_f64());
    response
}

async fn healthz() -> &'static str {
    "ok\n"
}

/// A process that drains is not ready either: whoever shares out requests shall send them elsewhere.
async fn readyz(State(app): State<Shared>) -> Result<&'static str, StatusCode> {
    let answers = matches!(timeout(READY, store::ping(&app.db)).await, Ok(Ok(())));
    if answers && !app.stop.is_cancelled() { Ok("ready\n") } else { Err(StatusCode::SERVICE_UNAVAILABLE) }
}

async fn show_metrics(State(app): State<Shared>, peer: Peer, headers: HeaderMap) -> Result<Response, Problem> {
    if !may_watch(&app, &peer, &headers) {
        // As if it were not there: whoever has no business here need not know.
        return Err(Problem::NotFound);
    }
    let recorder = metrics::recorder().ok_or(Problem::NotFound)?;
    let waiting = [
        ("friday_mails_waiting", store::mails_waiting(&app.db).await?),
        ("friday_deliveries_waiting", store::deliveries_waiting(&app.db).await?),
        ("friday_feeds_failing", store::feeds_failing(&app.db).await?),
    ];
    for (name, n) in waiting {
        ::metrics::gauge!(name).set(n as f64);
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render()).into_response())
}

/// This machine itself, or whoever has the token. A proxy on this machine that the settings do not know yet speaks for
/// the whole world, so a request that was passed on is not this machine's.
fn may_watch(app: &Shared, peer: &Peer, headers: &HeaderMap) -> bool {
    let passed_on = ["x-forwarded-for", "forwarded", "via"].iter().any(|name| headers.contains_key(*name));
    if peer.is_local() && !passed_on {
        return true;
    }
    let Some(token) = &app.config.metrics_token else { return false };
    let given =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    given.is_some_and(|given| given.trim().as_bytes().ct_eq(token.expose_secret().as_bytes()).into())
}
