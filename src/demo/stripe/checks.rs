//! What Checkout refuses: parameters that may not stand together, times and texts out of bounds.

use serde_json::Value;

use super::error::Error;
use super::params::Params;

/// A session lives at least 30 minutes and at most, and by default, 24 hours.
const LIVES_AT_LEAST: i64 = 30 * 60;
pub const LIVES_AT_MOST: i64 = 24 * 3600;

/// What may stand together in one session.
pub fn check_session(mode: &str, params: &Params, now: i64) -> Result<(), Error> {
    if mode == "setup" {
        return Err(Error::bad("mode", "The stand-in plays the modes payment and subscription."));
    }
    if params.text("ui_mode").is_some_and(|ui| ui != "hosted_page" && ui != "hosted") {
        return Err(Error::bad("ui_mode", "The stand-in plays the hosted page only."));
    }
    if !params.has("success_url") {
        return Err(Error::missing("success_url"));
    }
    let other = if mode == "payment" { "subscription_data" } else { "payment_intent_data" };
    if params.has(other) {
        return Err(Error::bad(other, format!("You can not pass `{other}` in `{mode}` mode.")));
    }
    if params.has("customer_creation") && mode != "payment" {
        let message = "`customer_creation` can only be used in `payment` and `setup` mode.";
        return Err(Error::bad("customer_creation", message));
    }
    for second in ["customer_email", "customer_creation"] {
        if params.has("customer") && params.has(second) {
            let message = format!("You may only specify one of these parameters: customer, {second}.");
            return Err(Error::bad(second, message));
        }
    }
    if params.text("client_reference_id").is_some_and(|id| id.len() > 200) {
        return Err(Error::bad("client_reference_id", "Invalid string: must be at most 200 characters"));
    }
    for name in ["statement_descriptor", "statement_descriptor_suffix"] {
        check_statement(name, params.text(&format!("payment_intent_data.{name}")).unwrap_or("Friday"))?;
    }
    check_expiry(params, now)
}

fn check_expiry(params: &Params, now: i64) -> Result<(), Error> {
    let Some(at) = params.integer("expires_at") else {
        return Ok(());
    };
    if at < now + LIVES_AT_LEAST {
        let message = "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.";
        return Err(Error::bad("expires_at", message));
    }
    if at > now + LIVES_AT_MOST {
        let message = "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.";
        return Err(Error::bad("expires_at", message));
    }
    Ok(())
}

/// What a bank prints: at most 22 characters, one of them a letter, none of `< > \ ' " *`.
fn check_statement(name: &str, text: &str) -> Result<(), Error> {
    let parameter = format!("payment_intent_data[{name}]");
    if text.chars().count() > 22 {
        return Err(Error::bad(&parameter, "The statement descriptor must be at most 22 characters."));
    }
    if text.contains(['<', '>', '\\', '\'', '"', '*']) || !text.is_ascii() {
        let message = "The statement descriptor contains invalid characters. It must not contain any of '<>\\\"*";
        return Err(Error::bad(&parameter, message));
    }
    if !text.contains(|c: char| c.is_ascii_alphabetic()) {
        return Err(Error::bad(&parameter, "The statement descriptor must contain at least one letter."));
    }
    Ok(())
}

/// One-time payments take no price that recurs.
pub fn check_recurring(mode: &str, price: &Value) -> Result<(), Error> {
    if mode == "payment" && price["type"] == "recurring" {
        let message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode \
                       or use only one-time prices.";
        return Err(Error::bad("mode", message));
    }
    Ok(())
}
