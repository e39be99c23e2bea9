//! Everything the stand-in knows: objects as JSON, in the order they were made; its clock and what is due on it; the
//! events that came of it all.
//!
//! An object is kept as the JSON that Stripe would answer, and nothing else: what the API shows is what there is. The
//! few things Stripe knows and does not show (whether a card will be declined next month) are kept beside it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::checkout::Asked;
use super::error::Error;
use super::events::Event;
use super::params::Params;
use super::payments::Method;

/// The state of one account at Stripe.
pub struct World {
    /// The test clock, in unix seconds.
    pub now: i64,
    /// The clock on the wall: events and signatures are dated by it.
    pub wall: i64,
    /// Where the pages are, without a slash at the end.
    pub base_url: String,
    /// The version that objects in events are written in.
    pub api_version: String,
    /// The events, oldest first.
    pub events: Vec<Event>,
    /// The request that is being answered, with its idempotency key: events name it.
    pub request: Option<(String, Option<String>)>,
    /// What a customer's card will do, by the id of the payment method.
    pub methods: HashMap<String, Method>,
    /// What a session was asked for and its object does not say.
    pub asked: HashMap<String, Asked>,
    objects: HashMap<String, Value>,
    order: HashMap<String, Vec<String>>,
    agenda: BTreeMap<(i64, u64), Due>,
    seed: [u8; 32],
    made: u64,
}

/// Something that will happen by itself.
#[derive(Debug, Clone)]
pub enum Due {
    /// A session that nobody paid runs out.
    SessionExpires(String),
    /// The notice some days before a renewal.
    Upcoming(String, i64),
    /// A period of a subscription ends.
    PeriodEnds(String, i64),
    /// A draft invoice is made final, an hour after it was made.
    InvoiceFinalizes(String),
    /// An invoice that was not paid is tried again.
    InvoiceRetry(String),
    /// A delayed payment is settled, one way or the other.
    Settles(String),
    /// A pause ends.
    Resumes(String, i64),
    /// A subscription ends on a date that was set.
    Cancels(String, i64),
    /// A subscription whose first payment never came is given up.
    GivenUp(String),
}

impl World {
    /// An empty account.
    pub fn new(seed: u64, now: i64, base_url: String, api_version: String) -> World {
        World {
            now,
            wall: now,
            base_url,
            api_version,
            events: Vec::new(),
            request: None,
            methods: HashMap::new(),
            asked: HashMap::new(),
            objects: HashMap::new(),
            order: HashMap::new(),
            agenda: BTreeMap::new(),
            seed: Sha256::digest(seed.to_be_bytes()).into(),
            made: 0,
        }
    }

    /// Brings the account to a time: what is due until then happens, each at its own time.
    pub fn catch_up(&mut self, wall: i64, target: i64) {
        self.wall = wall;
        while let Some(entry) = self.agenda.first_entry() {
            let at = entry.key().0;
            if at > target {
                break;
            }
            let due = entry.remove();
            self.now = self.now.max(at);
            self.happen(due);
        }
        self.now = self.now.max(target);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::SessionExpires(id) => self.session_expires(&id),
            Due::Upcoming(id, period_end) => self.upcoming(&id, period_end),
            Due::PeriodEnds(id, period_end) => self.period_ends(&id, period_end),
            Due::InvoiceFinalizes(id) => self.finalize_invoice(&id),
            Due::InvoiceRetry(id) => self.retry_invoice(&id),
            Due::Settles(id) => self.settle(&id),
            Due::Resumes(id, at) => self.pause_ends(&id, at),
            Due::Cancels(id, at) => self.cancels_at(&id, at),
            Due::GivenUp(id) => self.give_up(&id),
        }
    }

    /// Puts something on the agenda.
    pub fn plan(&mut self, at: i64, due: Due) {
        self.made += 1;
        self.agenda.insert((at, self.made), due);
    }

    /// A new id: `prefix` and some letters and digits.
    pub fn new_id(&mut self, prefix: &str) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        self.made += 1;
        let hash = Sha256::new().chain_update(self.seed).chain_update(self.made.to_be_bytes()).finalize();
        let letters = hash[..24].iter().map(|b| char::from(LETTERS[usize::from(*b) % 62]));
        format!("{prefix}{}", letters.collect::<String>())
    }

    /// Keeps a new object. Its kind is its `object` field.
    pub fn put(&mut self, object: Value) -> Value {
        let id = text(&object, "/id");
        self.order.entry(text(&object, "/object")).or_default().push(id.clone());
        self.objects.insert(id, object.clone());
        object
    }

    /// An object, if there is one with this id.
    pub fn find(&self, id: &str) -> Option<&Value> {
        self.objects.get(id)
    }

    /// An object that has to be there because another one names it; null otherwise.
    pub fn get(&self, id: &str) -> Value {
        self.objects.get(id).cloned().unwrap_or(Value::Null)
    }

    /// An object of a kind that a request names.
    pub fn named(&self, kind: &str, id: &str, parameter: &str) -> Result<Value, Error> {
        match self.objects.get(id) {
            Some(object) if object["object"] == kind => Ok(object.clone()),
            _ => Err(Error::no_such(kind, id, parameter)),
        }
    }

    /// All objects of a kind, newest first, the deleted ones left out.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.where_true(kind, |object| object["deleted"] != true)
    }

    /// Sets fields of an object without a word to anyone.
    pub fn set(&mut self, id: &str, fields: Value) -> Value {
        let Some(object) = self.objects.get_mut(id) else {
            return Value::Null;
        };
        for (name, value) in fields.as_object().into_iter().flatten() {
            object[name] = value.clone();
        }
        object.clone()
    }

    /// Sets fields of an object and tells it as an event, with what the changed fields were before. An event that ends
    /// in `.updated` is not sent where nothing has changed.
    pub fn change(&mut self, id: &str, fields: Value, event: &str) -> Value {
        let before = self.get(id);
        let after = self.set(id, fields);
        let mut previous = Map::new();
        for (name, value) in after.as_object().into_iter().flatten() {
            if before[name] != *value {
                previous.insert(name.clone(), before[name].clone());
            }
        }
        if !event.ends_with(".updated") {
            self.emit(event, after.clone());
        } else if !previous.is_empty() {
            self.emit_with(event, after.clone(), Some(Value::Object(previous)));
        }
        after
    }

    /// Replaces an object by what is left of it when it is deleted.
    pub fn bury(&mut self, id: &str) -> Value {
        let kind = text(&self.get(id), "/object");
        let left = json!({ "id": id, "object": kind, "deleted": true });
        self.objects.insert(id.to_owned(), left.clone());
        left
    }

    /// A page of a list, as the parameters ask for: newest first, `limit`, `starting_after`, `ending_before`, `created`.
    pub fn page(&self, mut all: Vec<Value>, url: &str, params: &Params) -> Result<Value, Error> {
        all.retain(|object| in_range(object["created"].as_i64().unwrap_or(0), params, "created"));
        let limit = params.integer("limit").unwrap_or(10);
        if !(1..=100).contains(&limit) {
            let message = "This value must be greater than or equal to 1, and less than or equal to 100.";
            return Err(Error::bad("limit", message));
        }
        let limit = usize::try_from(limit).unwrap_or(10);
        let place = |name: &str, id: &str| {
            let found = all.iter().position(|object| object["id"] == id);
            found.ok_or_else(|| Error::no_such("object", id, name))
        };
        let (data, has_more) = match (params.text("starting_after"), params.text("ending_before")) {
            (Some(_), Some(_)) => {
                let message = "Pass either starting_after or ending_before, not both.";
                return Err(Error::bad("starting_after", message));
            }
            (Some(after), None) => {
                let rest = all.split_off(place("starting_after", after)? + 1);
                let has_more = rest.len() > limit;
                (rest.into_iter().take(limit).collect(), has_more)
            }
            (None, Some(before)) => {
                all.truncate(place("ending_before", before)?);
                let skip = all.len().saturating_sub(limit);
                (all.split_off(skip), skip > 0)
            }
            (None, None) => {
                let has_more = all.len() > limit;
                all.truncate(limit);
                (all, has_more)
            }
        };
        Ok(json!({ "object": "list", "data": data, "has_more": has_more, "url": url }))
    }

    /// Replaces the ids at the asked paths by the objects they name.
    pub fn expand(&self, mut answer: Value, paths: &[String]) -> Result<Value, Error> {
        for path in paths {
            let names: Vec<&str> = path.split('.').collect();
            if names.len() > 4 {
                return Err(Error::bad("expand", "You cannot expand more than 4 levels of a property."));
            }
            self.expand_one(&mut answer, &names, path)?;
        }
        Ok(answer)
    }

    fn expand_one(&self, at: &mut Value, names: &[&str], path: &str) -> Result<(), Error> {
        let Some((name, rest)) = names.split_first() else {
            return Ok(());
        };
        if let Some(all) = at.as_array_mut() {
            return all.iter_mut().try_for_each(|one| self.expand_one(one, names, path));
        }
        if at[name].is_null()
            && let Some(included) = self.includable(at, name)
        {
            at[name] = included;
        }
        match at.get_mut(*name) {
            // Fields that an object has only where there is something to say can be expanded all the same.
            None if *name == "failure_balance_transaction" => Ok(()),
            None => {
                let message = format!("This property cannot be expanded ({path}).");
                Err(Error::bad("expand", message))
            }
            Some(Value::String(id)) => {
                let Some(object) = self.objects.get(id.as_str()) else {
                    return Err(Error::bad("expand", format!("This property cannot be expanded ({path}).")));
                };
                at[name] = object.clone();
                self.expand_one(&mut at[name], rest, path)
            }
            Some(Value::Null) => Ok(()),
            Some(inner) => self.expand_one(inner, rest, path),
        }
    }

    /// Lists that an object has only where they are asked for.
    fn includable(&self, object: &Value, name: &str) -> Option<Value> {
        let id = object["id"].as_str()?;
        let (all, url) = match (object["object"].as_str()?, name) {
            ("checkout.session", "line_items") => {
                let url = format!("/v1/checkout/sessions/{id}/line_items");
                (self.asked.get(id).map(|asked| asked.line_items.clone()).unwrap_or_default(), url)
            }
            ("invoice", "payments") => {
                (self.belonging("invoice_payment", "invoice", id), "/v1/invoice_payments".to_owned())
            }
            ("charge", "refunds") => (self.belonging("refund", "charge", id), format!("/v1/charges/{id}/refunds")),
            ("customer", "subscriptions") => {
                (self.belonging("subscription", "customer", id), format!("/v1/customers/{id}/subscriptions"))
            }
            _ => return None,
        };
        Some(json!({ "object": "list", "data": all, "has_more": false, "url": url }))
    }

    /// All objects of a kind whose field holds this id, newest first.
    pub fn belonging(&self, kind: &str, field: &str, id: &str) -> Vec<Value> {
        self.where_true(kind, |object| object[field] == id)
    }

    /// All objects of a kind for which something is true, newest first.
    pub fn where_true(&self, kind: &str, is_wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let ids = self.order.get(kind).into_iter().flatten().rev();
        ids.filter_map(|id| self.objects.get(id)).filter(|object| is_wanted(object)).cloned().collect()
    }
}

/// Whether a time is within the range that a parameter gives; true where it gives none.
pub fn in_range(at: i64, params: &Params, name: &str) -> bool {
    let Some(range) = params.get(name) else {
        return true;
    };
    let bound = |name: &str| range.get(name).and_then(Value::as_i64);
    range.as_i64().is_none_or(|exactly| at == exactly)
        && bound("gt").is_none_or(|bound| at > bound)
        && bound("gte").is_none_or(|bound| at >= bound)
        && bound("lt").is_none_or(|bound| at < bound)
        && bound("lte").is_none_or(|bound| at <= bound)
}

/// The text at a JSON pointer; empty where there is none.
pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned()
}

/// The whole number at a JSON pointer; zero where there is none.
pub fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}
