//! Customers with their cards, products and prices, and the portal where customers look after themselves.

use serde_json::{Value, json};

use super::error::Error;
use super::params::Params;
use super::world::{World, text};

/// What may be said about a customer, in the request as in the object.
const SAID: [&str; 6] = ["address", "description", "email", "name", "phone", "preferred_locales"];

impl World {
    /// `POST /v1/customers`
    pub fn create_customer(&mut self, params: &Params) -> Result<Value, Error> {
        let customer = self.customer(params.value("email"), params.value("name"));
        let id = text(&customer, "/id");
        let fields = self.customer_fields(&customer, params)?;
        self.change(&id, fields, "customer.created");
        Ok(self.get(&id))
    }

    /// `POST /v1/customers/{id}`
    pub fn update_customer(&mut self, id: &str, params: &Params) -> Result<Value, Error> {
        let customer = self.live_customer(id, "id")?;
        let fields = self.customer_fields(&customer, params)?;
        Ok(self.change(id, fields, "customer.updated"))
    }

    fn customer_fields(&self, customer: &Value, params: &Params) -> Result<Value, Error> {
        let mut fields = json!({ "metadata": params.metadata_over("metadata", &customer["metadata"]) });
        for name in SAID {
            if params.has(name) {
                fields[name] = params.value(name);
            }
        }
        for name in ["city", "country", "line1", "line2", "postal_code", "state"] {
            if !fields["address"].is_null() {
                fields["address"][name] = params.value(&format!("address.{name}"));
            }
        }
        if let Some(method) = params.text("invoice_settings.default_payment_method") {
            let name = "invoice_settings[default_payment_method]";
            let method = self.named("payment_method", method, name)?;
            fields["invoice_settings"] = customer["invoice_settings"].clone();
            fields["invoice_settings"]["default_payment_method"] = method["id"].clone();
        }
        Ok(fields)
    }

    /// `DELETE /v1/customers/{id}`: ends their subscriptions at once; what is left names nobody.
    pub fn delete_customer(&mut self, id: &str) -> Result<Value, Error> {
        let customer = self.live_customer(id, "id")?;
        for subscription in self.belonging("subscription", "customer", id) {
            self.end_subscription(&text(&subscription, "/id"), "cancellation_requested");
        }
        let left = self.bury(id);
        self.emit("customer.deleted", customer);
        Ok(left)
    }

    /// `GET /v1/customers`
    pub fn list_customers(&self, params: &Params) -> Result<Value, Error> {
        let email = params.text("email");
        let all = self.where_true("customer", |customer| {
            customer["deleted"] != true && email.is_none_or(|email| customer["email"] == email)
        });
        self.page(all, "/v1/customers", params)
    }

    /// `POST /v1/products`
    pub fn create_product(&mut self, params: &Params) -> Result<Value, Error> {
        let metadata = params.metadata_over("metadata", &json!({}));
        let product = self.product(params.text("name").unwrap_or_default(), &params.value("description"), metadata);
        self.emit("product.created", product.clone());
        Ok(product)
    }

    /// `POST /v1/prices`
    pub fn create_price(&mut self, params: &Params) -> Result<Value, Error> {
        let wrapped = params.under("price_data");
        let price = self.price_of(&wrapped, "price", true)?;
        self.emit("price.created", price.clone());
        Ok(price)
    }

    /// `POST /v1/billing_portal/sessions`
    pub fn create_portal(&mut self, params: &Params) -> Result<Value, Error> {
        let customer = params.text("customer").ok_or_else(|| Error::missing("customer"))?;
        let customer = self.live_customer(customer, "customer")?;
        let id = self.new_id("bps_1");
        let flow = match params.text("flow_data.type") {
            None => Value::Null,
            Some(kind) => {
                let subscription = params.text("flow_data.subscription_cancel.subscription");
                if kind == "subscription_cancel" {
                    let name = "flow_data[subscription_cancel][subscription]";
                    let id = subscription.ok_or_else(|| Error::missing(name))?;
                    self.named("subscription", id, name)?;
                }
                json!({
                    "after_completion": { "hosted_confirmation": null, "redirect": null,
                        "type": "portal_homepage" },
                    "customer_update": null, "subscription_pause": null, "subscription_update": null,
                    "subscription_cancel":
                        subscription.map(|id| json!({ "retention": null, "subscription": id })),
                    "subscription_update_confirm": null, "type": kind,
                })
            }
        };
        let session = json!({
            "id": id, "object": "billing_portal.session", "configuration": "bpc_1StandIn", "created": self.now,
            "customer": customer["id"], "customer_account": null, "flow": flow, "livemode": false,
            "locale": params.value("locale"), "on_behalf_of": null, "return_url": params.value("return_url"),
            "url": format!("{}/p/session/{id}", self.base_url),
        });
        Ok(self.put(session))
    }
}
