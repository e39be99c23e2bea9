//! What we read of Stripe's objects: the fields Friday uses and no others, each of them optional, because shapes drift.
//!
//! Since 2025-03-31 ("Basil") an invoice names its subscription under `parent` and its payment under `payments`, and a
//! period's end stands on the subscription's item. Both the old and the new place are read, so that a webhook endpoint
//! of any age is understood. The methods here are the only place that knows about it.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};

use crate::support::Frequency;

/// The metadata key under which our attempt's id stands at Stripe: how we know that an object is ours.
pub const ATTEMPT: &str = "friday_attempt";

/// Stripe's metadata.
pub type Metadata = HashMap<String, String>;

/// An id, or the object itself where it was expanded.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Ref<T> {
    /// Only the id.
    Id(String),
    /// The whole object.
    Object(Box<T>),
}

impl<T: HasId> Ref<T> {
    /// The id in either case.
    pub fn id(&self) -> &str {
        match self {
            Ref::Id(id) => id,
            Ref::Object(object) => object.id(),
        }
    }

    /// The object, where it was expanded.
    pub fn object(&self) -> Option<&T> {
        match self {
            Ref::Id(_) => None,
            Ref::Object(object) => Some(object),
        }
    }
}

/// Something that Stripe has given an id.
pub trait HasId {
    /// Stripe's id.
    fn id(&self) -> &str;
}

/// One page of a list.
#[derive(Debug, Clone, Deserialize)]
pub struct List<T> {
    /// The things.
    #[serde(default = "Vec::new")]
    pub data: Vec<T>,
    /// Whether another page follows.
    #[serde(default)]
    pub has_more: bool,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List { data: Vec::new(), has_more: false }
    }
}

/// `null` where an empty value is meant.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize)]
        #[expect(missing_docs, reason = "the fields are Stripe's and carry its names")]
        pub struct $name { $($(#[$attr])* #[serde(default, deserialize_with = "or_default")] pub $field: $type,)* }
    )*};
}

macro_rules! has_id {
    ($($name:ident)*) => {$(impl HasId for $name { fn id(&self) -> &str { &self.id } })*};
}

answers! {
    /// A page at Checkout.
    Session {
        id: String, status: Option<String>, mode: Option<String>, payment_status: Option<String>, url: Option<String>,
        amount_total: Option<i64>, currency: Option<String>, created: i64,
        client_reference_id: Option<String>, metadata: Metadata,
        customer: Option<Ref<Named>>, customer_details: Option<CustomerDetails>, customer_email: Option<String>,
        payment_intent: Option<Ref<PaymentIntent>>, subscription: Option<Ref<Subscription>>, invoice: Option<Ref<Invoice>>,
        after_expiration: Option<AfterExpiration>,
    }
    /// What follows when nobody paid in time.
    AfterExpiration { recovery: Option<Recovery>, }
    /// Where a page like it can be had.
    Recovery { url: Option<String>, }
    /// What the giver typed at Checkout; only the address, to write to it once.
    CustomerDetails { email: Option<String>, }
    /// Any object of which only the id matters.
    Named { id: String, }
    /// One intention to pay.
    PaymentIntent {
        id: String, status: Option<String>, currency: Option<String>, created: i64,
        metadata: Metadata, latest_charge: Option<Ref<Charge>>, description: Option<String>,
    }
    /// One charge, with what was given back of it.
    Charge {
        id: String, created: i64, currency: Option<String>, amount: i64, amount_refunded: i64,
        payment_intent: Option<Ref<PaymentIntent>>, refunds: Option<List<Refund>>,
        balance_transaction: Option<Ref<Moved>>, payment_method_details: Option<Method>,
    }
    /// What was paid by: of a card or account only its country and end, never a number.
    Method { id: String, card: Option<Card>, sepa_debit: Option<Account>, }
    /// A card.
    Card { country: Option<String>, exp_month: Option<i64>, exp_year: Option<i64>, }
    /// A bank account.
    Account { country: Option<String>, }
    /// Money on its way back.
    Refund {
        id: String, status: Option<String>, amount: i64, currency: Option<String>, created: i64,
        charge: Option<Ref<Charge>>, payment_intent: Option<Ref<PaymentIntent>>,
        balance_transaction: Option<Ref<Named>>, failure_balance_transaction: Option<Ref<Moved>>,
    }
    /// A giver's bank takes money back, or wanted to.
    Dispute {
        id: String, status: Option<String>, currency: Option<String>, payment_intent: Option<Ref<PaymentIntent>>,
        balance_transactions: Vec<Moved>,
    }
    /// A movement of our balance, and what Stripe kept of it.
    Moved {
        id: String, amount: i64, fee: i64, currency: Option<String>, created: i64,
        #[serde(rename = "type")] kind: String, source: Option<Ref<Source>>,
    }
    /// What moved the balance: a charge, a refund, a dispute.
    Source { id: String, object: String, payment_intent: Option<Ref<PaymentIntent>>, }
    /// One bill of a recurring gift.
    Invoice {
        id: String, status: Option<String>, paid: Option<bool>, amount_paid: i64, amount_due: i64,
        currency: Option<String>, billing_reason: Option<String>, created: i64,
        attempt_count: i64, next_payment_attempt: Option<i64>, hosted_invoice_url: Option<String>, customer: Option<Ref<Named>>, customer_email: Option<String>,
        parent: Option<InvoiceParent>, payments: Option<List<InvoicePayment>>, status_transitions: Option<Transitions>,
        subscription: Option<Ref<Subscription>>, payment_intent: Option<Ref<PaymentIntent>>,
        subscription_details: Option<SubscriptionDetails>, lines: Option<List<InvoiceLine>>,
    }
    /// What is billed.
    InvoiceLine { period: Option<Period>, }
    /// From when to when, in unix seconds.
    Period { start: i64, end: i64, }
    /// Whose bill it is, since Basil.
    InvoiceParent { subscription_details: Option<SubscriptionDetails>, }
    /// The subscription of a bill, with its metadata as they were.
    SubscriptionDetails { subscription: Option<Ref<Subscription>>, metadata: Metadata, }
    /// A payment of a bill, since Basil.
    InvoicePayment { id: String, status: Option<String>, payment: Option<InvoicePaymentMeans>, }
    /// What a bill was paid by.
    InvoicePaymentMeans { payment_intent: Option<Ref<PaymentIntent>>, }
    /// When a bill went from one state to the next.
    Transitions { paid_at: Option<i64>, }
    /// A recurring gift at Stripe.
    Subscription {
        id: String, status: Option<String>, customer: Option<Ref<Customer>>, metadata: Metadata, currency: Option<String>,
        created: i64, start_date: Option<i64>, items: List<Item>, current_period_end: Option<i64>,
        cancel_at: Option<i64>, cancel_at_period_end: bool, ended_at: Option<i64>,
        pause_collection: Option<Pause>, cancellation_details: Option<CancellationDetails>,
        default_payment_method: Option<Ref<Method>>,
    }
    /// Nothing is taken, until then.
    Pause { resumes_at: Option<i64>, }
    /// Why a recurring gift ended.
    CancellationDetails { reason: Option<String>, }
    /// What is given each time.
    Item { id: String, quantity: Option<i64>, current_period_end: Option<i64>, price: Option<Price>, }
    /// How much, how often.
    Price {
        id: String, unit_amount: Option<i64>, currency: Option<String>, recurring: Option<Recurring>,
        product: Option<Ref<Named>>,
    }
    /// How often.
    Recurring { interval: Option<String>, }
    /// Somebody's address, read when a mail is to be written and at no other time.
    Customer { id: String, email: Option<String>, }
    /// A page of Stripe's where a giver changes their card.
    Portal { id: String, url: Option<String>, }
    /// An event, as the list of events tells it.
    Event { id: String, #[serde(rename = "type")] kind: String, created: i64, data: EventData, }
    /// What an event is about.
    EventData { object: EventObject, }
    /// Only the id: the object itself is read again.
    EventObject { id: Option<String>, }
}

has_id! { Session Named PaymentIntent Charge Refund Invoice Subscription Customer Event Method Moved Source Dispute }

fn attempt(metadata: &Metadata) -> Option<i64> {
    metadata.get(ATTEMPT)?.parse().ok()
}

impl Session {
    /// The id of our attempt, where the page is ours.
    pub fn attempt(&self) -> Option<i64> {
        attempt(&self.metadata)
    }

    /// Where whoever was too late can begin again.
    pub fn recovery(&self) -> Option<&str> {
        self.after_expiration.as_ref()?.recovery.as_ref()?.url.as_deref()
    }

    /// The giver's address as Stripe has it.
    pub fn email(&self) -> Option<&str> {
        self.customer_details.as_ref().and_then(|details| details.email.as_deref()).or(self.customer_email.as_deref())
    }
}

impl PaymentIntent {
    /// Whether somebody at Checkout tried to pay by it, for a gift of ours: a one-time one carries our metadata; what pays a
    /// first bill has Stripe's own words. A renewal has others.
    pub fn began_at_checkout(&self) -> bool {
        attempt(&self.metadata).is_some() || self.description.as_deref() == Some("Subscription creation")
    }

    /// When the money moved: the charge's time, else the intent's.
    pub fn moved_at(&self) -> i64 {
        self.latest_charge.as_ref().and_then(Ref::object).map_or(self.created, |charge| charge.created)
    }
}

impl Refund {
    /// The payment it gives back, also where only the charge tells.
    pub fn payment_intent(&self) -> Option<&str> {
        let of_charge = self.charge.as_ref().and_then(Ref::object).and_then(|charge| charge.payment_intent.as_ref());
        self.payment_intent.as_ref().or(of_charge).map(Ref::id)
    }
}

impl Invoice {
    fn details(&self) -> Option<&SubscriptionDetails> {
        self.parent
            .as_ref()
            .and_then(|parent| parent.subscription_details.as_ref())
            .or(self.subscription_details.as_ref())
    }

    /// The recurring gift it is a bill of.
    pub fn subscription(&self) -> Option<&str> {
        self.details().and_then(|details| details.subscription.as_ref()).or(self.subscription.as_ref()).map(Ref::id)
    }

    /// The id of our attempt, where the metadata came along.
    pub fn attempt(&self) -> Option<i64> {
        self.details().and_then(|details| attempt(&details.metadata))
    }

    /// Whether it is paid, in either shape.
    pub fn is_paid(&self) -> bool {
        self.status.as_deref() == Some("paid") || self.paid == Some(true)
    }

    /// The payment intent that paid it.
    pub fn payment_intent(&self) -> Option<&str> {
        let payments = self.payments.iter().flat_map(|list| &list.data);
        let paid = payments.filter(|payment| payment.status.as_deref() == Some("paid"));
        let means = paid.filter_map(|payment| payment.payment.as_ref()?.payment_intent.as_ref()).next();
        means.or(self.payment_intent.as_ref()).map(Ref::id)
    }

    /// The payment intent that is to pay it.
    pub fn open_intent(&self) -> Option<&str> {
        let payments = self.payments.iter().flat_map(|list| &list.data);
        let open = payments.filter(|payment| payment.status.as_deref() == Some("open"));
        let means = open.filter_map(|payment| payment.payment.as_ref()?.payment_intent.as_ref()).next();
        means.or(self.payment_intent.as_ref()).map(Ref::id)
    }

    /// How often what it bills is given: by the length of the period that is paid for.
    pub fn frequency(&self) -> Option<Frequency> {
        let period = self.lines.as_ref()?.data.first()?.period.as_ref()?;
        let days = (period.end - period.start) / 86_400;
        (days > 0).then_some(if days > 180 { Frequency::Annual } else { Frequency::Monthly })
    }

    /// Whether it is the gift's first.
    pub fn is_first(&self) -> bool {
        self.billing_reason.as_deref() == Some("subscription_create")
    }

    /// When it was paid.
    pub fn paid_at(&self) -> i64 {
        self.status_transitions.as_ref().and_then(|times| times.paid_at).unwrap_or(self.created)
    }
}

impl Charge {
    /// The country of the card or account that paid.
    pub fn country(&self) -> Option<&str> {
        let method = self.payment_method_details.as_ref()?;
        let of_card = method.card.as_ref().and_then(|card| card.country.as_deref());
        of_card.or(method.sepa_debit.as_ref().and_then(|account| account.country.as_deref()))
    }

    /// The last month in which the card that paid works: `2027-03`.
    pub fn card_until(&self) -> Option<String> {
        self.payment_method_details.as_ref()?.card_until()
    }
}

impl Method {
    /// The last month in which the card works: `2027-03`. Accounts have none.
    pub fn card_until(&self) -> Option<String> {
        let card = self.card.as_ref()?;
        Some(format!("{:04}-{:02}", card.exp_year?, card.exp_month?))
    }
}

impl Subscription {
    /// The id of our attempt, where the gift is ours.
    pub fn attempt(&self) -> Option<i64> {
        attempt(&self.metadata)
    }

    /// The end of what is paid for, in either shape.
    pub fn renews_at(&self) -> Option<i64> {
        self.items.data.iter().filter_map(|item| item.current_period_end).min().or(self.current_period_end)
    }

    /// When it is to end though it still runs: by a date, or with the period.
    pub fn ends_at(&self) -> Option<i64> {
        self.cancel_at.or_else(|| self.cancel_at_period_end.then(|| self.renews_at()).flatten())
    }

    /// What is given each time, in minor units.
    pub fn amount(&self) -> Option<i64> {
        let item = self.items.data.first()?;
        item.price.as_ref()?.unit_amount?.checked_mul(item.quantity.unwrap_or(1))
    }

    /// What the price belongs to, which a new price must name.
    pub fn product(&self) -> Option<&str> {
        self.items.data.first()?.price.as_ref()?.product.as_ref().map(Ref::id)
    }

    /// Whether its payments do not come, or it is over.
    pub fn is_unpaid(&self) -> bool {
        matches!(self.status.as_deref(), Some("past_due" | "unpaid" | "canceled" | "incomplete_expired"))
    }

    /// The giver's address, where the customer came along.
    pub fn email(&self) -> Option<&str> {
        self.customer.as_ref()?.object()?.email.as_deref()
    }

    /// The last month in which its own card works, where that came along.
    pub fn card_until(&self) -> Option<String> {
        self.default_payment_method.as_ref()?.object()?.card_until()
    }

    /// Stripe's word for the rhythm: `month` or `year`.
    pub fn interval(&self) -> Option<&str> {
        self.items.data.first()?.price.as_ref()?.recurring.as_ref()?.interval.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_is_understood_in_todays_shape() {
        let invoice: Invoice = serde_json::from_str(
            r#"{"id":"in_1","object":"invoice","status":"paid","amount_paid":500,"currency":"usd","billing_reason":"subscription_cycle",
            "customer":"cus_1","customer_email":"a@b.example","created":1,"status_transitions":{"paid_at":9},
            "parent":{"type":"subscription_details","subscription_details":{"subscription":"sub_1","metadata":{"friday_attempt":"7"}}},
            "payments":{"object":"list","has_more":false,"data":[{"id":"inpay_0","status":"canceled","payment":{"type":"payment_intent","payment_intent":"pi_0"}},
            {"id":"inpay_1","status":"paid","payment":{"type":"payment_intent","payment_intent":"pi_1"}}]}}"#,
        )
        .unwrap();
        assert!(invoice.is_paid() && !invoice.is_first());
        assert_eq!((invoice.subscription(), invoice.payment_intent()), (Some("sub_1"), Some("pi_1")));
        assert_eq!((invoice.attempt(), invoice.paid_at()), (Some(7), 9));
    }

    #[test]
    fn an_invoice_is_understood_in_the_shape_of_2020() {
        let invoice: Invoice = serde_json::from_str(
            r#"{"id":"in_1","paid":true,"status":"paid","amount_paid":500,"subscription":{"id":"sub_1","object":"subscription"},
            "payment_intent":"pi_1","charge":"ch_1","billing_reason":"subscription_create","created":4,"lines":null}"#,
        )
        .unwrap();
        assert!(invoice.is_paid() && invoice.is_first());
        assert_eq!((invoice.subscription(), invoice.payment_intent()), (Some("sub_1"), Some("pi_1")));
    }

    #[test]
    fn a_periods_end_is_found_on_the_item_or_on_the_subscription() {
        let new: Subscription = serde_json::from_str(
            r#"{"id":"sub_1","items":{"data":[{"id":"si_1","quantity":1,"current_period_end":77,
            "price":{"id":"price_1","unit_amount":500,"recurring":{"interval":"month","interval_count":1}}}]},"cancel_at_period_end":true}"#,
        )
        .unwrap();
        assert_eq!(
            (new.renews_at(), new.ends_at(), new.amount(), new.interval()),
            (Some(77), Some(77), Some(500), Some("month"))
        );
        let old: Subscription =
            serde_json::from_str(r#"{"id":"sub_1","current_period_end":78,"cancel_at":99}"#).unwrap();
        assert_eq!((old.renews_at(), old.ends_at()), (Some(78), Some(99)));
    }

    #[test]
    fn a_reference_may_be_an_id_or_the_object() {
        let id: Session = serde_json::from_str(r#"{"id":"cs_1","payment_intent":"pi_1","metadata":null}"#).unwrap();
        assert_eq!(id.payment_intent.as_ref().map(Ref::id), Some("pi_1"));
        let whole: Session =
            serde_json::from_str(r#"{"id":"cs_1","payment_intent":{"id":"pi_1","status":"succeeded"}}"#).unwrap();
        let intent = whole.payment_intent.as_ref().and_then(Ref::object).unwrap();
        assert_eq!((intent.id.as_str(), intent.status.as_deref()), ("pi_1", Some("succeeded")));
    }

    #[test]
    fn a_field_nobody_uses_may_change_its_type() {
        assert!(
            serde_json::from_str::<Session>(r#"{"id":"cs_1","total_details":"now a string","shipping":[1,2]}"#).is_ok()
        );
    }
}
