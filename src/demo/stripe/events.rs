//! Events: what happened, with the object as it was then; signed and handed to the webhook, in order or out of it,
//! once or more often.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::error::Error;
use super::params::Params;
use super::shapes;
use super::world::{World, text};

/// One event and whether the webhook has taken it.
#[derive(Debug, Clone)]
pub struct Event {
    /// The event as the API shows it.
    pub body: Value,
    /// Whether an answer of 2xx has come.
    pub taken: bool,
    /// How often it was handed over.
    pub tries: u32,
}

/// An event ready to be posted to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The event's id.
    pub id: String,
    /// Its type, `invoice.paid` for example.
    pub kind: String,
    /// The bytes that were signed.
    pub body: String,
    /// The value of the header `Stripe-Signature`.
    pub signature: String,
}

impl World {
    /// Tells that something happened to an object.
    pub fn emit(&mut self, kind: &str, object: Value) {
        self.emit_with(kind, object, None);
    }

    /// The same, with the fields that changed as they were before.
    pub fn emit_with(&mut self, kind: &str, object: Value, previous: Option<Value>) {
        let object = shapes::as_of(&self.api_version, object, self);
        let mut data = json!({ "object": object });
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        let (request, key) = match &self.request {
            Some((id, key)) => (json!(id), json!(key)),
            None => (Value::Null, Value::Null),
        };
        let body = json!({
            "id": self.new_id("evt_"),
            "object": "event",
            "api_version": self.api_version,
            "created": self.wall,
            "data": data,
            "livemode": false,
            "pending_webhooks": 1,
            "request": { "id": request, "idempotency_key": key },
            "type": kind,
        });
        self.events.push(Event { body, taken: false, tries: 0 });
    }

    /// Notes that the webhook has answered for an event.
    pub fn answered(&mut self, id: &str, taken: bool) {
        if let Some(event) = self.events.iter_mut().find(|event| event.body["id"] == id) {
            event.tries += 1;
            event.taken |= taken;
            event.body["pending_webhooks"] = json!(u8::from(!event.taken));
        }
    }

    /// `GET /v1/events`
    pub fn list_events(&self, params: &Params) -> Result<Value, Error> {
        let mut kinds = params.texts("types");
        if !kinds.is_empty() && params.has("type") {
            return Err(Error::bad("type", "You may only specify one of these parameters: type, types."));
        }
        if kinds.len() > 20 {
            return Err(Error::bad("types", "You may pass at most 20 types."));
        }
        kinds.extend(params.text("type").map(str::to_owned));
        let delivered = params.get("delivery_success").and_then(Value::as_bool);
        // Stripe shows the events of the last 30 days.
        let oldest = self.wall - 30 * 24 * 3600;
        let shown = self.events.iter().rev().filter(|event| {
            let kind = text(&event.body, "/type");
            let wanted = |pattern: &String| {
                pattern == "*" || *pattern == kind || pattern.strip_suffix('*').is_some_and(|p| kind.starts_with(p))
            };
            (kinds.is_empty() || kinds.iter().any(wanted))
                && delivered.is_none_or(|delivered| delivered == event.taken)
                && event.body["created"].as_i64() >= Some(oldest)
        });
        let shown = shown.map(|event| event.body.clone()).collect();
        self.page(shown, "/v1/events", params)
    }

    /// `GET /v1/events/{id}`
    pub fn one_event(&self, id: &str) -> Result<Value, Error> {
        let found = self.events.iter().find(|event| event.body["id"] == id);
        found.map(|event| event.body.clone()).ok_or_else(|| Error::no_such("event", id, "id"))
    }
}

impl Event {
    /// The event's body and its signature by each of the secrets, at a time in unix seconds.
    pub fn sign(&self, secrets: &[String], at: i64) -> Signed {
        let body = serde_json::to_string_pretty(&self.body).unwrap_or_default();
        Signed {
            id: text(&self.body, "/id"),
            kind: text(&self.body, "/type"),
            signature: signature(&body, secrets, at),
            body,
        }
    }
}

/// `t=…,v1=…`: HMAC-SHA-256 over `t.body`, one `v1` for each secret (there are two while a secret is rolled) and,
/// as Stripe sends with test events, a `v0` that nobody should look at.
pub fn signature(body: &str, secrets: &[String], at: i64) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        // OK because HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
        mac.update(format!("{at}.{body}").as_bytes());
        let hex = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
        header.push_str(&format!(",v1={hex}"));
    }
    header.push_str(",v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39");
    header
}
