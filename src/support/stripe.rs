//! How Friday speaks with Stripe.
//!
//! Requests are the typed ones of `async-stripe`: a parameter that Stripe does not know does not compile. They go out
//! over an own client, because the crate's opens a connection for every call, waits for ever, ignores `Retry-After` and
//! forgets the request id. Answers are read into the small structs of [`answers`](super::answers), because the
//! generated ones refuse a whole object over one field that has changed.
//!
//! An error never carries Stripe's own sentence: it may quote an address.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};

use crate::config;

/// The version of the API that the structs in [`answers`](super::answers) were written for. Stripe answers in it
/// whatever the account's own version is.
pub const VERSION: &str = "2026-09-30.endive";

/// Pauses between the tries of one call. A person may be waiting, so there are few; the worker has its own schedule.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_millis(1_000)];
/// The longest `Retry-After` that is waited for within one call.
const PATIENCE: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);

/// What went wrong between us and Stripe.
#[derive(Debug, thiserror::Error)]
pub enum StripeError {
    /// No answer: nothing is known about what Stripe did.
    #[error("Stripe could not be reached ({0})")]
    Unreachable(&'static str),
    /// Stripe answered, and said no.
    #[error("Stripe refused with {status}: {reason} (request {request})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Stripe's type, code and parameter, where it named them.
        reason: String,
        /// Stripe's id of the request, to be given to its support.
        request: String,
    },
    /// Stripe answered something else than what we read.
    #[error("Stripe's answer could not be read: {why} (request {request})")]
    Unreadable {
        /// Line and column, no content.
        why: String,
        /// Stripe's id of the request.
        request: String,
    },
}

impl StripeError {
    /// Whether Stripe says that the thing asked for does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, StripeError::Refused { status: 404, .. })
    }

    /// A short code for the database and the staff page.
    pub fn code(&self) -> String {
        match self {
            StripeError::Unreachable(why) => format!("unreachable: {why}"),
            StripeError::Refused { status, reason, request } => format!("{status} {reason} {request}"),
            StripeError::Unreadable { request, .. } => format!("unreadable {request}"),
        }
    }
}

/// The way to Stripe: one pool of connections, one key.
#[derive(Clone)]
pub struct Stripe {
    http: reqwest::Client,
    base: String,
    key: SecretString,
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Stripe's error object; only what is safe to repeat.
#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    error: RefusalDetail,
}

#[derive(Deserialize, Default)]
struct RefusalDetail {
    #[serde(rename = "type")]
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

impl Stripe {
    /// A client for these settings.
    pub fn new(settings: &config::Stripe) -> Stripe {
        let http = reqwest::Client::builder()
            .user_agent(concat!("friday/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            // OK because nothing of the builder's is read from outside: the TLS library and its roots are built in.
            .expect("a client");
        let base = settings.api_base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Stripe { http, base, key: settings.secret_key.clone() }
    }

    /// Whether the key is a test key, a live one, or of a kind we do not know.
    pub fn live(&self) -> Option<bool> {
        let key = self.key.expose_secret();
        if key.contains("_test_") {
            Some(false)
        } else if key.contains("_live_") {
            Some(true)
        } else {
            None
        }
    }

    /// Whether it speaks with Stripe itself and not with a stand-in.
    pub fn is_real(&self) -> bool {
        self.base == config::STRIPE_API
    }

    /// Where it speaks to: scheme, host and port, for the pages' policy and for `friday check`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Asks for something that changes nothing.
    ///
    /// # Errors
    /// As [`StripeError`] says, after the tries of one call.
    pub async fn read<A: DeserializeOwned>(&self, request: &impl StripeRequest) -> Result<A, StripeError> {
        self.send(request.build(), None).await
    }

    /// Asks for a change. The same `once` is the same change, however often it is asked: Stripe keeps the first answer
    /// for at least a day.
    ///
    /// # Errors
    /// As [`StripeError`] says, after the tries of one call.
    pub async fn act<A: DeserializeOwned>(&self, request: &impl StripeRequest, once: &str) -> Result<A, StripeError> {
        self.send(request.build(), Some(once)).await
    }

    async fn send<A: DeserializeOwned>(&self, request: RequestBuilder, once: Option<&str>) -> Result<A, StripeError> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let (error, again_after) = match self.try_once(&request, once).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Some(least) = again_after else { return Err(error) };
            let Some(pause) = pauses.next() else { return Err(error) };
            if least > PATIENCE {
                return Err(error);
            }
            tracing::debug!(%error, "asking Stripe again");
            tokio::time::sleep(pause.max(least)).await;
        }
    }

    /// One try: the answer, or the error and, where another try makes sense, how long to wait at least.
    async fn try_once<A: DeserializeOwned>(
        &self,
        request: &RequestBuilder,
        once: Option<&str>,
    ) -> Result<A, (StripeError, Option<Duration>)> {
        let mut url = format!("{}/v1{}", self.base, request.path);
        if let Some(query) = request.query.as_deref().filter(|query| !query.is_empty()) {
            url.push('?');
            url.push_str(query);
        }
        let mut call = match request.method {
            StripeMethod::Get => self.http.get(url),
            StripeMethod::Post => self.http.post(url),
            StripeMethod::Delete => self.http.delete(url),
        };
        call = call.bearer_auth(self.key.expose_secret()).header("Stripe-Version", VERSION);
        if let Some(once) = once {
            call = call.header("Idempotency-Key", once);
        }
        if let Some(body) = &request.body {
            call = call.header("Content-Type", "application/x-www-form-urlencoded").body(body.clone());
        }

        let answer = call.send().await.map_err(|error| (unreachable(&error), Some(Duration::ZERO)))?;
        let status = answer.status().as_u16();
        let again = again(status, answer.headers());
        let id = answer.headers().get("request-id").and_then(|id| id.to_str().ok()).unwrap_or("unknown").to_owned();
        let body = answer.bytes().await.map_err(|error| (unreachable(&error), Some(Duration::ZERO)))?;
        if (200..300).contains(&status) {
            return serde_json::from_slice(&body).map_err(|error| {
                let why = format!("{:?} at {}:{}", error.classify(), error.line(), error.column());
                (StripeError::Unreadable { why, request: id }, None)
            });
        }
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        let said = [refusal.error.kind, refusal.error.code, refusal.error.param];
        let reason = said.into_iter().flatten().map(|word| plain(&word)).collect::<Vec<_>>().join(" ");
        Err((StripeError::Refused { status, reason, request: id }, again))
    }
}

fn unreachable(error: &reqwest::Error) -> StripeError {
    StripeError::Unreachable(if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "connection lost"
    })
}

/// Whether, and after how long, the same request may be sent again. Stripe's own word goes before the status.
fn again(status: u16, headers: &HeaderMap) -> Option<Duration> {
    let word = headers.get("stripe-should-retry").and_then(|value| value.to_str().ok());
    let may = match word {
        Some("true") => true,
        Some("false") => false,
        // 409: another request with the same key is under way
        _ => status == 409 || status == 429 || status >= 500,
    };
    let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse().ok());
    may.then(|| Duration::from_secs(wait.unwrap_or(0)))
}

/// Codes and names of parameters are letters, digits and a few signs; anything else might be somebody's data.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_ascii_alphanumeric() || "_-[].".contains(*c)).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_busy_stripe_is_asked_again_and_a_refusal_is_not() {
        assert_eq!(again(429, &headers(&[])), Some(Duration::ZERO));
        assert_eq!(again(429, &headers(&[("retry-after", "2")])), Some(Duration::from_secs(2)));
        assert_eq!(again(503, &headers(&[])), Some(Duration::ZERO));
        assert_eq!(again(409, &headers(&[])), Some(Duration::ZERO));
        assert_eq!(again(402, &headers(&[])), None);
        assert_eq!(again(400, &headers(&[])), None);
    }

    #[test]
    fn stripes_own_word_on_retries_goes_first() {
        assert_eq!(again(500, &headers(&[("stripe-should-retry", "false")])), None);
        assert_eq!(again(400, &headers(&[("stripe-should-retry", "true")])), Some(Duration::ZERO));
    }

    #[test]
    fn the_version_is_the_one_the_request_types_were_made_for() {
        assert_eq!(VERSION, stripe_client_core::VERSION.as_str());
    }

    #[test]
    fn a_key_tells_its_mode_and_never_prints_itself() {
        let settings = config::Stripe {
            secret_key: "sk_test_secret".to_owned().into(),
            webhook_secrets: Vec::new(),
            api_base: "http://127.0.0.1:9/v1/".to_owned(),
        };
        let stripe = Stripe::new(&settings);
        assert_eq!(stripe.base(), "http://127.0.0.1:9");
        assert_eq!(stripe.live(), Some(false));
        assert!(!format!("{stripe:?}").contains("secret"));
    }
}
