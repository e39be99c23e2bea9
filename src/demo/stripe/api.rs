//! The API: one table of what is played, and around it what every request goes through: the key, the version, the
//! idempotency key, strict parameters, expansion.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use serde_json::Value;

use super::endpoints::{ENDPOINTS, Endpoint};
use super::error::Error;
use super::params::Params;
use super::{Shared, shapes};

/// Keys start with this, so that no real key is ever sent to a stand-in, and no stand-in's key to Stripe.
pub const KEY_PREFIX: &str = "sk_test_standin";

/// An answer that was given under an idempotency key.
pub struct Kept {
    request: String,
    status: StatusCode,
    body: Value,
    request_id: String,
    at: i64,
}

/// Idempotency keys are forgotten after this.
const KEPT_FOR: i64 = 24 * 3600;

/// Answers every request below `/v1`.
pub async fn answer(State(app): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mut room = app.enter();
    let request_id = room.world.new_id("req_");
    let version = header_text(&headers, "stripe-version").unwrap_or(&app.options.api_version).to_owned();
    let key = header_text(&headers, "idempotency-key").map(str::to_owned);
    let encoded = match method {
        Method::GET | Method::DELETE if body.is_empty() => uri.query().unwrap_or("").to_owned(),
        _ => String::from_utf8_lossy(&body).into_owned(),
    };
    let mut answer_headers = HeaderMap::new();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer_headers.insert(HeaderName::from_static(name), value);
        }
    };
    add("request-id", &request_id);
    add("stripe-version", &version);

    let checked = check_request(&method, &headers, &version, key.as_deref());
    if let Err(error) = checked {
        return respond(error.status, &error.body(), answer_headers);
    }
    if let Some(status) = room.faults.pop_front() {
        add("stripe-should-retry", "true");
        let error = Error::fault(status);
        return respond(error.status, &error.body(), answer_headers);
    }
    let fingerprint = format!("{method} {} {encoded}", uri.path());
    if let Some(key) = key.as_deref().filter(|_| method == Method::POST) {
        add("idempotency-key", key);
        let now = room.world.wall;
        room.kept.retain(|_, kept| now - kept.at < KEPT_FOR);
        if let Some(kept) = room.kept.get(key) {
            if kept.request != fingerprint {
                let error = Error::key_reused(key);
                return respond(error.status, &error.body(), answer_headers);
            }
            add("idempotent-replayed", "true");
            add("original-request", &kept.request_id);
            return respond(kept.status, &kept.body, answer_headers);
        }
    }
    let (endpoint, ids) = match find(&method, uri.path()) {
        Ok(found) => found,
        Err(error) => return respond(error.status, &error.body(), answer_headers),
    };
    // An answer to parameters that were not good is not kept: nothing was begun.
    let params = match Params::read(&encoded, endpoint.takes) {
        Ok(params) => params,
        Err(error) => return respond(error.status, &error.body(), answer_headers),
    };
    room.world.request = Some((request_id.clone(), key.clone()));
    let made = (endpoint.answer)(&mut room.world, &ids, &params)
        .and_then(|object| room.world.expand(object, &params.texts("expand")));
    room.world.request = None;
    let (status, body) = match made {
        Ok(object) => (StatusCode::OK, shapes::as_of(&version, object, &room.world)),
        Err(error) => (error.status, error.body()),
    };
    if let Some(key) = key.filter(|_| method == Method::POST) {
        let at = room.world.wall;
        let kept = Kept { request: fingerprint, status, body: body.clone(), request_id, at };
        room.kept.insert(key, kept);
    }
    drop(room);
    app.wake();
    respond(status, &body, answer_headers)
}

fn check_request(method: &Method, headers: &HeaderMap, version: &str, key: Option<&str>) -> Result<(), Error> {
    check_key(headers)?;
    if headers.contains_key("stripe-account") {
        return Err(Error::bad("", "The stand-in plays one account: send no Stripe-Account."));
    }
    let is_date = |day: &str| {
        day.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() })
    };
    if !version.get(..10).is_some_and(is_date) {
        return Err(Error::bad("", format!("Invalid Stripe API version: {version}")));
    }
    if key.is_some_and(|key| key.len() > 255) {
        return Err(Error::bad("", "Idempotency keys may be at most 255 characters long."));
    }
    let kind = header_text(headers, "content-type").unwrap_or("");
    if *method == Method::POST && !kind.is_empty() && !kind.starts_with("application/x-www-form-urlencoded") {
        let message =
            format!("Invalid request (check that your POST content type is application/x-www-form-urlencoded): {kind}");
        return Err(Error::bad("", message));
    }
    Ok(())
}

fn check_key(headers: &HeaderMap) -> Result<(), Error> {
    let given = header_text(headers, header::AUTHORIZATION.as_str()).unwrap_or("");
    let basic = given.strip_prefix("Basic ").and_then(|encoded| BASE64.decode(encoded.as_bytes()).ok());
    let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
    let key = given.strip_prefix("Bearer ").or(basic.as_deref().and_then(|pair| pair.split(':').next()));
    match key {
        None | Some("") => Err(Error::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer \
             auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )),
        Some(key) if key.starts_with(KEY_PREFIX) => Ok(()),
        Some(_) => Err(Error::unauthorized(
            "Invalid API Key provided. The stand-in takes keys that begin with sk_test_standin.",
        )),
    }
}

fn header_text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The endpoint for a method and a path, and the ids in the path.
fn find<'p>(method: &Method, path: &'p str) -> Result<(&'static Endpoint, Vec<&'p str>), Error> {
    for endpoint in ENDPOINTS {
        if endpoint.method == method.as_str()
            && let Some(ids) = ids(endpoint.path, path)
        {
            return Ok((endpoint, ids));
        }
    }
    Err(Error::no_such_route(method.as_str(), path))
}

fn ids<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut ids = Vec::new();
    let mut rest = path.split('/');
    for wanted in pattern.split('/') {
        let part = rest.next()?;
        if wanted == "{id}" {
            ids.push(part);
        } else if wanted != part {
            return None;
        }
    }
    rest.next().is_none().then_some(ids)
}

fn respond(status: StatusCode, body: &Value, headers: HeaderMap) -> Response {
    let text = serde_json::to_string_pretty(body).unwrap_or_default();
    (status, headers, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}
