//! What may be changed about a subscription while it runs: its end, a pause, its one price.

use serde_json::{Value, json};

use super::error::Error;
use super::params::Params;
use super::world::{Due, World, text};

impl World {
    /// `DELETE /v1/subscriptions/{id}`
    pub fn cancel_subscription(&mut self, id: &str, params: &Params) -> Result<Value, Error> {
        let subscription = self.named("subscription", id, "id")?;
        if subscription["status"] == "canceled" {
            return Err(Error::no_such("subscription", id, "id"));
        }
        self.note_reason(&subscription, params);
        self.end_subscription(id, "cancellation_requested");
        Ok(self.get(id))
    }

    /// The customer ends a subscription in the portal, which sets the date and leaves `cancel_at_period_end` false.
    pub(super) fn end_with_period(&mut self, id: &str, end: i64) {
        let mut details = self.get(id)["cancellation_details"].clone();
        details["reason"] = json!("cancellation_requested");
        let fields = json!({ "cancel_at": end, "canceled_at": self.now, "cancellation_details": details });
        self.change(id, fields, "customer.subscription.updated");
        self.plan(end, Due::Cancels(id.to_owned(), end));
    }

    /// The customer wants to go on after all.
    pub(super) fn go_on(&mut self, id: &str) {
        let mut details = self.get(id)["cancellation_details"].clone();
        details["reason"] = Value::Null;
        let fields = json!({
            "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null, "cancellation_details": details,
        });
        self.change(id, fields, "customer.subscription.updated");
    }

    fn note_reason(&mut self, subscription: &Value, params: &Params) {
        let mut details = subscription["cancellation_details"].clone();
        for name in ["comment", "feedback"] {
            let path = format!("cancellation_details.{name}");
            if params.has(&path) {
                details[name] = params.value(&path);
            }
        }
        self.set(&text(subscription, "/id"), json!({ "cancellation_details": details }));
    }

    /// `POST /v1/subscriptions/{id}`
    pub fn update_subscription(&mut self, id: &str, params: &Params) -> Result<Value, Error> {
        let before = self.named("subscription", id, "id")?;
        if before["status"] == "canceled" && !params.has("metadata") && !params.has("cancellation_details") {
            let message = "A canceled subscription can only update its cancellation_details and metadata.";
            return Err(Error::bad("", message));
        }
        self.note_reason(&before, params);
        let mut fields = json!({});
        if params.has("metadata") {
            fields["metadata"] = params.metadata_over("metadata", &before["metadata"]);
        }
        if params.has("description") {
            fields["description"] = params.value("description");
        }
        if let Some(method) = params.text("default_payment_method") {
            let method = self.named("payment_method", method, "default_payment_method")?;
            fields["default_payment_method"] = method["id"].clone();
        }
        self.update_end(&before, params, &mut fields)?;
        self.update_pause(id, params, &mut fields)?;
        let new_period = self.update_items(&before, params, &mut fields)?;
        let trial = self.update_trial(&before, params, &mut fields)?;
        self.change(id, fields, "customer.subscription.updated");
        match trial {
            Some(end) => self.begin_trial(id, end),
            None if new_period => self.bill_new_period(id),
            None => {}
        }
        Ok(self.get(id))
    }

    /// A trial puts the next bill off until it ends; the period begins there.
    fn update_trial(&self, before: &Value, params: &Params, fields: &mut Value) -> Result<Option<i64>, Error> {
        let Some(end) = params.integer("trial_end") else { return Ok(None) };
        if end <= self.now || before["status"] == "past_due" {
            return Err(Error::bad("trial_end", "`trial_end` must be in the future, and nothing may be owed."));
        }
        if fields["items"].is_null() {
            fields["items"] = before["items"].clone();
        }
        fields["items"]["data"][0]["current_period_start"] = json!(self.now);
        fields["items"]["data"][0]["current_period_end"] = json!(end);
        fields["billing_cycle_anchor"] = json!(end);
        fields["status"] = json!("trialing");
        fields["trial_start"] = json!(self.now);
        fields["trial_end"] = json!(end);
        Ok(Some(end))
    }

    fn update_end(&mut self, before: &Value, params: &Params, fields: &mut Value) -> Result<(), Error> {
        if params.has("cancel_at") && params.has("cancel_at_period_end") {
            let message = "You may only specify one of these parameters: cancel_at, cancel_at_period_end.";
            return Err(Error::bad("cancel_at", message));
        }
        let id = text(before, "/id");
        if params.has("cancel_at_period_end") {
            let ends = params.flag("cancel_at_period_end");
            fields["cancel_at_period_end"] = json!(ends);
            fields["cancel_at"] =
                if ends { before["items"]["data"][0]["current_period_end"].clone() } else { Value::Null };
            fields["canceled_at"] = if ends { json!(self.now) } else { Value::Null };
        }
        if params.has("cancel_at") {
            let at = params.integer("cancel_at");
            if at.is_some_and(|at| at <= self.now) {
                return Err(Error::bad("cancel_at", "`cancel_at` must be in the future."));
            }
            fields["cancel_at"] = json!(at);
            fields["canceled_at"] = if at.is_some() { json!(self.now) } else { Value::Null };
            if let Some(at) = at {
                self.plan(at, Due::Cancels(id, at));
            }
        }
        if let Some(reason) = fields.get("canceled_at") {
            let mut details = self.get(&text(before, "/id"))["cancellation_details"].clone();
            details["reason"] = if reason.is_null() { Value::Null } else { json!("cancellation_requested") };
            fields["cancellation_details"] = details;
        }
        Ok(())
    }

    fn update_pause(&mut self, id: &str, params: &Params, fields: &mut Value) -> Result<(), Error> {
        if !params.has("pause_collection") {
            return Ok(());
        }
        let resumes = params.integer("pause_collection.resumes_at");
        if resumes.is_some_and(|at| at <= self.now) {
            return Err(Error::bad("pause_collection[resumes_at]", "`resumes_at` must be in the future."));
        }
        fields["pause_collection"] = match params.text("pause_collection.behavior") {
            Some(behavior) => json!({ "behavior": behavior, "resumes_at": resumes }),
            None => Value::Null,
        };
        if let Some(at) = resumes {
            self.plan(at, Due::Resumes(id.to_owned(), at));
        }
        Ok(())
    }

    /// Sets a new price on the one item. True where the interval is another, so that a new period begins now.
    fn update_items(&mut self, before: &Value, params: &Params, fields: &mut Value) -> Result<bool, Error> {
        let asked = params.list("items");
        let Some(item) = asked.first() else {
            return Ok(false);
        };
        let old = &before["items"]["data"][0];
        if asked.len() > 1 || item.text("id") != old["id"].as_str() {
            // Without the id Stripe would add a second item, and bill both.
            let message = "The stand-in plays subscriptions with one item: pass the id of the one there is.";
            return Err(Error::bad("items[0][id]", message));
        }
        let price = self.price_of(item, "items[0]", false)?;
        if price["recurring"].is_null() {
            return Err(Error::bad(
                "items[0][price]",
                "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            ));
        }
        if price["currency"] != before["currency"] {
            let message = "The price specified is in another currency than the subscription.";
            return Err(Error::bad("items[0][price]", message));
        }
        let is_same = price["unit_amount"] == old["price"]["unit_amount"];
        let interval =
            |price: &Value| (price["recurring"]["interval"].clone(), price["recurring"]["interval_count"].clone());
        let new_period = interval(&price) != interval(&old["price"]);
        if (new_period || !is_same) && params.text("proration_behavior") != Some("none") {
            let message = "The stand-in does not play prorations: pass proration_behavior=none.";
            return Err(Error::bad("proration_behavior", message));
        }
        let mut items = before["items"].clone();
        items["data"][0]["plan"] = World::plan_of(&price);
        items["data"][0]["price"] = price.clone();
        items["data"][0]["quantity"] = json!(item.integer("quantity").unwrap_or(1));
        if new_period {
            items["data"][0]["current_period_start"] = json!(self.now);
            items["data"][0]["current_period_end"] = json!(self.period_end(self.now, 1, &price["recurring"]));
            fields["billing_cycle_anchor"] = json!(self.now);
        }
        fields["items"] = items;
        Ok(new_period)
    }
}
