//! Objects as older versions of the API showed them.
//!
//! A webhook endpoint keeps the version it was made with for ever, so a newsroom that was at Stripe before Friday may
//! send the shapes of years ago. Until 2025-03-31 an invoice named its subscription, charge and payment intent itself,
//! a charge and an intent named their invoice, and a period was the subscription's.

use serde_json::{Value, json};

use super::billing::subscription_of;
use super::world::{World, text};

/// The version since which the shapes are today's.
const TODAY_SINCE: &str = "2025-03-31";

/// An object as a version of the API writes it.
pub fn as_of(version: &str, mut object: Value, world: &World) -> Value {
    if version.get(..10).is_none_or(|day| day >= TODAY_SINCE) {
        return object;
    }
    match object["object"].as_str() {
        Some("invoice") => invoice(&mut object, world),
        Some("subscription") => {
            for name in ["current_period_start", "current_period_end"] {
                object[name] = object["items"]["data"][0][name].clone();
            }
        }
        Some("charge") => object["invoice"] = invoice_of(&text(&object, "/payment_intent"), world),
        Some("payment_intent") => object["invoice"] = invoice_of(&text(&object, "/id"), world),
        Some("list") => {
            let all = object["data"].as_array().cloned().unwrap_or_default();
            object["data"] = all.into_iter().map(|one| as_of(version, one, world)).collect();
        }
        _ => {}
    }
    object
}

fn invoice(object: &mut Value, world: &World) {
    object["subscription"] = json!(subscription_of(object));
    let payments = world.belonging("invoice_payment", "invoice", &text(object, "/id"));
    let intent = payments.first().map_or(Value::Null, |payment| payment["payment"]["payment_intent"].clone());
    object["charge"] = world.get(intent.as_str().unwrap_or(""))["latest_charge"].clone();
    object["payment_intent"] = intent;
    object["paid"] = json!(object["status"] == "paid");
    if let Some(fields) = object.as_object_mut() {
        fields.remove("parent");
        fields.remove("payments");
    }
}

fn invoice_of(intent: &str, world: &World) -> Value {
    world.invoice_payment_of(intent)["invoice"].clone()
}
