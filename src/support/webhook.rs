//! Stripe's events as they arrive: believed by their signature, stored by their names, answered at once.
//!
//! Nothing is read here but the event's id, type and time and its object's id, out of untyped JSON, because a body has
//! the shape of whichever version the webhook was made with. What the object says is read from Stripe, by the worker.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

use crate::app::Shared;
use crate::clock::Moment;
use crate::support::{signature, store, task};
use crate::web::Problem;

/// Stripe's events are some ten kilobytes. More than this is not one.
const LARGEST: usize = 1024 * 1024;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/stripe/webhook", post(take).layer(DefaultBodyLimit::max(LARGEST)))
}

async fn take(State(app): State<Shared>, headers: HeaderMap, body: Bytes) -> Result<Response, Problem> {
    let now = app.clock.now();
    let secrets = app.config.stripe.as_ref().map(|stripe| stripe.webhook_secrets.as_slice()).unwrap_or_default();
    let header = headers.get("stripe-signature").and_then(|value| value.to_str().ok());
    if let Err(error) = signature::check(header, &body, secrets, now) {
        tracing::warn!(%error, "a webhook was not believed");
        return Ok(refuse(&error.to_string()));
    }
    let Some(Named { event, live, account }) = read(&body, now) else {
        tracing::warn!("a signed webhook was not an event");
        return Ok(refuse("this is not an event"));
    };
    // A live event at a test key means that two accounts or modes have been mixed up; neither may count for the other.
    let ours = app.stripe.as_ref().and_then(|stripe| stripe.live());
    if live.zip(ours).is_some_and(|(theirs, ours)| theirs != ours) {
        tracing::error!(event = event.id, "an event of the other mode (live or test) was refused");
        return Ok(refuse("this event is of the other mode, live or test"));
    }
    if account {
        tracing::error!(event = event.id, "an event of another account was refused");
        return Ok(refuse("this event is of another account"));
    }
    let is_new = store::remember(&app.db, &event, now).await?;
    if is_new {
        app.wake(task::EVENTS);
    }
    count(if is_new { "taken" } else { "repeated" });
    Ok(StatusCode::OK.into_response())
}

fn count(outcome: &'static str) {
    metrics::counter!("friday_stripe_events_total", "outcome" => outcome).increment(1);
}

fn refuse(why: &str) -> Response {
    count("refused");
    (StatusCode::BAD_REQUEST, axum::Json(serde_json::json!({ "error": why }))).into_response()
}

/// A bill that is still to come cannot be read: what it is about is its subscription, named in today's shape or in that
/// of before 2025-03-31.
const UPCOMING: [&str; 2] = ["/data/object/parent/subscription_details/subscription", "/data/object/subscription"];

/// What is read of an event.
struct Named {
    event: store::Event,
    /// Whether it is of live mode.
    live: Option<bool>,
    /// Whether it is of an account connected to ours, and so not of ours.
    account: bool,
}

/// The names in an event.
fn read(body: &[u8], now: Moment) -> Option<Named> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let objects: &[&str] = if text("/type") == Some("invoice.upcoming") { &UPCOMING } else { &["/data/object/id"] };
    let event = store::Event {
        id: text("/id").filter(|id| is_name(id))?.to_owned(),
        kind: text("/type").filter(|kind| is_name(kind))?.to_owned(),
        object_id: objects.iter().find_map(|pointer| text(pointer)).filter(|id| is_name(id)).map(str::to_owned),
        created_at: value
            .get("created")
            .and_then(Value::as_i64)
            .map_or(now, |at| Moment::from_millis(at.saturating_mul(1_000))),
    };
    let (live, account) = (value.get("livemode").and_then(Value::as_bool), text("/account").is_some());
    Some(Named { event, live, account })
}

/// Stripe's ids and types: they go into addresses and logs, so nothing else may pass for one.
pub(super) fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_taken_from_an_event() {
        let now = Moment::from_millis(5);
        let Named { event, live, account } = read(
            br#"{"id":"evt_1","type":"invoice.paid","created":7,"livemode":false,"data":{"object":{"id":"in_1","customer_email":"a@b.example"}}}"#,
            now,
        )
        .unwrap();
        assert_eq!(
            (event.id.as_str(), event.kind.as_str(), event.object_id.as_deref()),
            ("evt_1", "invoice.paid", Some("in_1"))
        );
        assert_eq!((event.created_at.millis(), live, account), (7_000, Some(false), false));
        let event = |body: &str| read(body.as_bytes(), now).unwrap().event;
        let bare = event(r#"{"id":"evt_2","type":"invoice.paid","data":{"object":{"id":null}}}"#);
        assert_eq!(bare.object_id, None);
        let path = event(r#"{"id":"evt_3","type":"x","data":{"object":{"id":"../v1/accounts"}}}"#);
        assert_eq!(path.object_id, None, "a path is no id");
        for upcoming in [
            r#"{"id":"evt_4","type":"invoice.upcoming","data":{"object":{"id":"upcoming_1","subscription":"sub_1"}}}"#,
            r#"{"id":"evt_4","type":"invoice.upcoming","data":{"object":
                {"parent":{"subscription_details":{"subscription":"sub_1"}}}}}"#,
        ] {
            assert_eq!(event(upcoming).object_id.as_deref(), Some("sub_1"));
        }
        assert!(read(br#"{"id":"evt_5","type":"x","account":"acct_1"}"#, now).unwrap().account);
        for body in [&b"not json"[..], b"[]", br#"{"type":"x"}"#, br#"{"id":1,"type":"x"}"#, b"\xff"] {
            assert!(read(body, now).is_none());
        }
    }
}
