//! What Friday asks Stripe for, as typed requests.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
pub use stripe_billing::subscription::UpdateSubscriptionCancellationDetailsFeedback as Feedback;

use stripe_billing::billing_portal_session::CreateBillingPortalSession;
use stripe_billing::invoice::{ListInvoice, RetrieveInvoice};
use stripe_billing::subscription::{
    CancelSubscription, RetrieveSubscription, UpdateSubscription, UpdateSubscriptionCancellationDetails,
    UpdateSubscriptionItems, UpdateSubscriptionItemsPriceData, UpdateSubscriptionItemsPriceDataRecurring,
    UpdateSubscriptionItemsPriceDataRecurringInterval as NewInterval, UpdateSubscriptionPauseCollection,
    UpdateSubscriptionPauseCollectionBehavior, UpdateSubscriptionProrationBehavior, UpdateSubscriptionTrialEnd,
};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionAfterExpiration, CreateCheckoutSessionAfterExpirationRecovery,
    CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionLineItemsPriceDataRecurring,
    CreateCheckoutSessionLineItemsPriceDataRecurringInterval as Interval, CreateCheckoutSessionPaymentIntentData,
    CreateCheckoutSessionSubscriptionData, ListCheckoutSession, ProductData, RetrieveCheckoutSession,
};
use stripe_checkout::{CheckoutSessionLocale, CheckoutSessionMode, CheckoutSessionSubmitType};
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};
use stripe_core::balance_transaction::ListBalanceTransaction;
use stripe_core::charge::RetrieveCharge;
use stripe_core::dispute::RetrieveDispute;
use stripe_core::event::ListEvent;
use stripe_core::payment_intent::RetrievePaymentIntent;
use stripe_core::refund::{ListRefund, RetrieveRefund};
use stripe_types::RangeQueryTs;

use crate::clock::Moment;
use crate::support::answers::{
    ATTEMPT, Charge, Dispute, Event, HasId, Invoice, List, Moved, PaymentIntent, Portal, Refund, Session, Subscription,
};
use crate::support::stripe::{Stripe, StripeError};
use crate::support::{Choice, Frequency};
use crate::words::Language;

/// How much Stripe lists at once, at most.
const PAGE: i64 = 100;

/// What Checkout is to show and where it leads back to.
#[derive(Debug)]
pub struct Checkout<'a> {
    /// Our attempt.
    pub attempt: i64,
    /// What is given.
    pub choice: Choice,
    /// What it is called on Stripe's page and receipts.
    pub title: String,
    /// The language of Stripe's page.
    pub language: Language,
    /// Whether the newsroom is a charity and says "donate".
    pub donation: bool,
    /// What our addresses begin with.
    pub base_url: &'a str,
    /// Where whoever leaves comes back to: the ask with what was chosen.
    pub back: String,
}

/// Makes a page at Checkout. The same attempt gets the same page, however often it asks.
///
/// Which payment methods are offered is set at Stripe, and `expires_at` is left to Stripe as well (a day): so a repeat
/// of the request is the same request to the letter, as its idempotency demands.
///
/// # Errors
/// As [`StripeError`].
pub async fn check_out(stripe: &Stripe, page: &Checkout<'_>) -> Result<Session, StripeError> {
    let Choice { frequency, money } = page.choice;
    let ours: HashMap<String, String> = HashMap::from([(ATTEMPT.to_owned(), page.attempt.to_string())]);
    // The type has no constructor for a code; every code parses, and Stripe refuses what it does not take.
    let Ok(currency) = money.currency.lower().parse::<stripe_types::Currency>();
    let recurring = match frequency {
        Frequency::Once => None,
        Frequency::Monthly => Some(CreateCheckoutSessionLineItemsPriceDataRecurring::new(Interval::Month)),
        Frequency::Annual => Some(CreateCheckoutSessionLineItemsPriceDataRecurring::new(Interval::Year)),
    };
    let price = CreateCheckoutSessionLineItemsPriceData {
        product_data: Some(ProductData::new(page.title.clone())),
        recurring,
        unit_amount: Some(money.minor),
        ..CreateCheckoutSessionLineItemsPriceData::new(currency)
    };
    let item = CreateCheckoutSessionLineItems { price_data: Some(price), quantity: Some(1), ..Default::default() };
    let mut request = CreateCheckoutSession::new()
        .line_items([item])
        // Stripe writes the id into the braces; they must arrive as they are.
        .success_url(format!("{}/support/thanks?session={{CHECKOUT_SESSION_ID}}", page.base_url))
        .cancel_url(page.back.clone())
        // A page that ran out leads to a new one like it, for a month.
        .after_expiration(CreateCheckoutSessionAfterExpiration {
            recovery: Some(CreateCheckoutSessionAfterExpirationRecovery::new(true)),
        })
        .client_reference_id(page.attempt.to_string())
        .locale(match page.language {
            Language::En => CheckoutSessionLocale::En,
            Language::Ru => CheckoutSessionLocale::Ru,
        })
        .metadata(ours.clone());
    // The metadata must stand on what lives on as well: a renewal's invoice knows its subscription and no session.
    request = if frequency == Frequency::Once {
        let data = CreateCheckoutSessionPaymentIntentData { metadata: Some(ours), ..Default::default() };
        let request = request.mode(CheckoutSessionMode::Payment).payment_intent_data(data);
        if page.donation { request.submit_type(CheckoutSessionSubmitType::Donate) } else { request }
    } else {
        let data = CreateCheckoutSessionSubscriptionData { metadata: Some(ours), ..Default::default() };
        request.mode(CheckoutSessionMode::Subscription).subscription_data(data)
    };
    stripe.act(&request, &format!("friday-attempt-{}", page.attempt)).await
}

/// The page at Checkout with its payment.
///
/// # Errors
/// As [`StripeError`].
pub async fn session(stripe: &Stripe, id: &str) -> Result<Session, StripeError> {
    let expand = ["payment_intent.latest_charge.balance_transaction".to_owned()];
    stripe.read(&RetrieveCheckoutSession::new(id).expand(expand)).await
}

/// A bill with its payments.
///
/// # Errors
/// As [`StripeError`].
pub async fn invoice(stripe: &Stripe, id: &str) -> Result<Invoice, StripeError> {
    stripe.read(&RetrieveInvoice::new(id).expand(["payments".to_owned()])).await
}

/// A payment with its charge and what Stripe kept of it.
///
/// # Errors
/// As [`StripeError`].
pub async fn payment_intent(stripe: &Stripe, id: &str) -> Result<PaymentIntent, StripeError> {
    let expand = ["latest_charge.balance_transaction".to_owned()];
    stripe.read(&RetrievePaymentIntent::new(id).expand(expand)).await
}

/// What comes along with a recurring gift: whom to write to, and until when the card works.
fn with_giver() -> [String; 2] {
    ["customer".to_owned(), "default_payment_method".to_owned()]
}

/// A recurring gift with its giver.
///
/// # Errors
/// As [`StripeError`].
pub async fn subscription(stripe: &Stripe, id: &str) -> Result<Subscription, StripeError> {
    stripe.read(&RetrieveSubscription::new(id).expand(with_giver())).await
}

/// A charge with what was given back of it.
///
/// # Errors
/// As [`StripeError`].
pub async fn charge(stripe: &Stripe, id: &str) -> Result<Charge, StripeError> {
    stripe.read(&RetrieveCharge::new(id).expand(["refunds.data.failure_balance_transaction".to_owned()])).await
}

/// A refund.
///
/// # Errors
/// As [`StripeError`].
pub async fn refund(stripe: &Stripe, id: &str) -> Result<Refund, StripeError> {
    stripe.read(&RetrieveRefund::new(id).expand(["charge".to_owned(), "failure_balance_transaction".to_owned()])).await
}

/// A dispute with the movements that it caused.
///
/// # Errors
/// As [`StripeError`].
pub async fn dispute(stripe: &Stripe, id: &str) -> Result<Dispute, StripeError> {
    stripe.read(&RetrieveDispute::new(id)).await
}

/// Ends a recurring gift at once. Asking twice is no error to us, though it is one to Stripe.
///
/// # Errors
/// As [`StripeError`].
pub async fn end(stripe: &Stripe, subscription_id: &str) -> Result<Subscription, StripeError> {
    let once = format!("friday-end-{subscription_id}");
    match stripe.act(&CancelSubscription::new(subscription_id).expand(with_giver()), &once).await {
        Err(StripeError::Refused { status: 400 | 404, .. }) => subscription(stripe, subscription_id).await,
        answer => answer,
    }
}

/// Changes what is given each time and how often, from the next payment on: nothing is taken or given back before.
///
/// A new rhythm would begin, and be billed, at once; Stripe's way to begin it later is a trial until then.
/// `gift` is what Stripe says now, `once` tells one press from the next.
///
/// # Errors
/// As [`StripeError`].
pub async fn change(stripe: &Stripe, gift: &Subscription, to: Choice, once: i64) -> Result<Subscription, StripeError> {
    let lacks = |why: &str| StripeError::Unreadable { why: why.to_owned(), request: "none".to_owned() };
    let item = gift.items.data.first().ok_or_else(|| lacks("no item"))?;
    let product = gift.product().ok_or_else(|| lacks("no product"))?;
    let Ok(currency) = to.money.currency.lower().parse::<stripe_types::Currency>();
    let (interval, name) = match to.frequency {
        Frequency::Annual => (NewInterval::Year, "year"),
        Frequency::Once | Frequency::Monthly => (NewInterval::Month, "month"),
    };
    let price = UpdateSubscriptionItemsPriceData {
        unit_amount: Some(to.money.minor),
        ..UpdateSubscriptionItemsPriceData::new(
            currency,
            product,
            UpdateSubscriptionItemsPriceDataRecurring::new(interval),
        )
    };
    let items = [UpdateSubscriptionItems { id: Some(item.id.clone()), price_data: Some(price), ..Default::default() }];
    let mut request = UpdateSubscription::new(gift.id.as_str())
        .items(items)
        .proration_behavior(UpdateSubscriptionProrationBehavior::None)
        .expand(with_giver());
    if let Some(next) = gift.renews_at().filter(|_| gift.interval() != Some(name)) {
        request = request.trial_end(UpdateSubscriptionTrialEnd::Timestamp(next));
    }
    stripe.act(&request, &format!("friday-change-{once}")).await
}

/// Takes nothing until then. Bills that fall into the pause are void: nothing is owed afterwards.
///
/// # Errors
/// As [`StripeError`].
pub async fn pause(stripe: &Stripe, id: &str, until: Moment, once: i64) -> Result<Subscription, StripeError> {
    let pause = UpdateSubscriptionPauseCollection {
        resumes_at: Some(until.seconds()),
        ..UpdateSubscriptionPauseCollection::new(UpdateSubscriptionPauseCollectionBehavior::Void)
    };
    let request = UpdateSubscription::new(id).pause_collection(pause).expand(with_giver());
    stripe.act(&request, &format!("friday-pause-{once}")).await
}

/// A request to go on before a pause is over. The generated type has no way to say "none", which is an empty text.
struct Resume<'a>(&'a str);

impl StripeRequest for Resume<'_> {
    type Output = ();

    fn build(&self) -> RequestBuilder {
        let form = [("pause_collection", ""), ("expand[0]", "customer"), ("expand[1]", "default_payment_method")];
        let request = RequestBuilder::new(StripeMethod::Post, format!("/subscriptions/{}", self.0));
        request.form(&form.into_iter().collect::<std::collections::BTreeMap<_, _>>())
    }
}

/// Ends a pause.
///
/// # Errors
/// As [`StripeError`].
pub async fn resume(stripe: &Stripe, id: &str, once: i64) -> Result<Subscription, StripeError> {
    stripe.act(&Resume(id), &format!("friday-resume-{once}")).await
}

/// Tells Stripe why a gift was ended, in one of its own words: `too_expensive`, `unused`, `other`, ….
///
/// # Errors
/// As [`StripeError`].
pub async fn say_why(stripe: &Stripe, id: &str, why: Feedback) -> Result<Subscription, StripeError> {
    let once = format!("friday-why-{id}-{}", why.as_str());
    let details = UpdateSubscriptionCancellationDetails { feedback: Some(why), ..Default::default() };
    stripe.act(&UpdateSubscription::new(id).cancellation_details(details), &once).await
}

/// Stripe's page where a giver changes their card. `once` tells one press from the next.
///
/// # Errors
/// As [`StripeError`].
pub async fn portal(stripe: &Stripe, customer_id: &str, return_url: String, once: i64) -> Result<Portal, StripeError> {
    let request = CreateBillingPortalSession::new().customer(customer_id).return_url(return_url);
    stripe.act(&request, &format!("friday-portal-{once}")).await
}

/// All events of the `kinds` since then, oldest last, as Stripe lists them.
///
/// # Errors
/// As [`StripeError`].
pub async fn events(stripe: &Stripe, kinds: &[&str], since: Moment) -> Result<Vec<Event>, StripeError> {
    let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
    let first = ListEvent::new().created(RangeQueryTs::gte(since.seconds())).types(kinds).limit(PAGE);
    all(stripe, |after| match after {
        None => first.clone(),
        Some(id) => first.clone().starting_after(id),
    })
    .await
}

/// All paid bills made since then.
///
/// # Errors
/// As [`StripeError`].
pub async fn invoices(stripe: &Stripe, since: Moment) -> Result<Vec<Invoice>, StripeError> {
    let expand = ["data.payments".to_owned()];
    let first = ListInvoice::new().created(RangeQueryTs::gte(since.seconds())).expand(expand).limit(PAGE);
    all(stripe, |after| match after {
        None => first.clone(),
        Some(id) => first.clone().starting_after(id),
    })
    .await
}

/// All pages at Checkout made since then.
///
/// # Errors
/// As [`StripeError`].
pub async fn sessions(stripe: &Stripe, since: Moment) -> Result<Vec<Session>, StripeError> {
    let expand = ["data.payment_intent.latest_charge".to_owned()];
    let first = ListCheckoutSession::new().created(RangeQueryTs::gte(since.seconds())).expand(expand).limit(PAGE);
    all(stripe, |after| match after {
        None => first.clone(),
        Some(id) => first.clone().starting_after(id),
    })
    .await
}

/// Every movement of our balance since then, each with what moved it.
///
/// # Errors
/// As [`StripeError`].
pub async fn movements(stripe: &Stripe, since: Moment) -> Result<Vec<Moved>, StripeError> {
    let expand = ["data.source".to_owned()];
    let first = ListBalanceTransaction::new().created(RangeQueryTs::gte(since.seconds())).expand(expand).limit(PAGE);
    all(stripe, |after| match after {
        None => first.clone(),
        Some(id) => first.clone().starting_after(id),
    })
    .await
}

/// All refunds made since then.
///
/// # Errors
/// As [`StripeError`].
pub async fn refunds(stripe: &Stripe, since: Moment) -> Result<Vec<Refund>, StripeError> {
    let expand = ["data.failure_balance_transaction".to_owned()];
    let first = ListRefund::new().created(RangeQueryTs::gte(since.seconds())).expand(expand).limit(PAGE);
    all(stripe, |after| match after {
        None => first.clone(),
        Some(id) => first.clone().starting_after(id),
    })
    .await
}

/// Turns the pages until the last.
async fn all<R, A>(stripe: &Stripe, page: impl Fn(Option<String>) -> R) -> Result<Vec<A>, StripeError>
where
    R: StripeRequest,
    A: DeserializeOwned + HasId,
{
    let mut found: Vec<A> = Vec::new();
    loop {
        let list: List<A> = stripe.read(&page(found.last().map(|last| last.id().to_owned()))).await?;
        let more = list.has_more && !list.data.is_empty();
        found.extend(list.data);
        if !more {
            return Ok(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_parameters_are_written_as_stripe_reads_them() {
        let built =
            ListEvent::new().created(RangeQueryTs::gte(9)).types(["a".to_owned(), "b".to_owned()]).limit(PAGE).build();
        assert_eq!(built.query.as_deref(), Some("created[gte]=9&limit=100&types[0]=a&types[1]=b"));
    }
}
