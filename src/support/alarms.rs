//! What staff must look at, and what to do then: words, no deeds.
//!
//! Friday never acts by itself where acting can harm: a refund leaves a second line on the statement of somebody whose
//! bank reads statements. It tells whoever may see giving, by a mail that says nothing but that there is something, and
//! the page says what to weigh.

use crate::app::Shared;
use crate::mail::Message;
use crate::mail::outbox::{self, Note};
use crate::staff::{self, Role, StaffError};
use crate::support::store::alarms;

/// A kind of alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "TEXT", rename_all = "snake_case")]
pub enum Alarm {
    /// A payment by a card or account of a country in which giving can be prosecuted.
    Country,
    /// A giver's bank asks for a payment back.
    Dispute,
    /// A refund could not be paid out.
    RefundFailed,
    /// Somebody tries cards.
    CardTesting,
    /// Stripe and we do not say the same.
    Differs,
}

impl Alarm {
    /// Its name in words.
    pub fn title(self) -> &'static str {
        match self {
            Alarm::Country => "A card of a country on your list",
            Alarm::Dispute => "A payment is disputed",
            Alarm::RefundFailed => "A refund came back",
            Alarm::CardTesting => "Somebody tries cards",
            Alarm::Differs => "Stripe and Friday differ",
        }
    }

    /// What to do, and what to weigh.
    pub fn steps(self) -> &'static str {
        match self {
            Alarm::Country => {
                "The bank has seen the payment already. A refund is a second line on the same statement, so it is not always \
                 the better way. Do not write to the giver at an address in that country. Speak with your lawyer first; then \
                 decide, and note here what you did. If this happens again, look at the Radar rule that “friday check” shows."
            }
            Alarm::Dispute => {
                "The giver’s bank asks about a payment, or has taken it back until it is decided; then Stripe keeps a fee. Answer it in Stripe’s \
                 dashboard, or accept it: a giver who does not know the name on the statement often means no harm. If it is \
                 lost, the recurring gift is ended by itself."
            }
            Alarm::RefundFailed => {
                "The money is back with you: the card was closed, say. Find another way to pay it back in Stripe’s dashboard."
            }
            Alarm::CardTesting => {
                "Many payments were refused, or very many begun, in a short time. Readers’ browsers must now solve a small task before Checkout \
                 opens, and each network gets few tries. Look at Stripe’s Radar; refund what went through and was not meant."
            }
            Alarm::Differs => {
                "The nightly comparison found a movement of money that only one side knows, or knows otherwise. The \
                 differences are named at the head of this page."
            }
        }
    }

    /// The place of its object in Stripe's dashboard.
    pub fn link(self, object_id: &str) -> Option<String> {
        let place = match self {
            Alarm::Country if object_id.starts_with("sub_") => "subscriptions",
            Alarm::Country => "payments",
            Alarm::Dispute => "disputes",
            Alarm::RefundFailed => "refunds",
            Alarm::CardTesting => return Some("https://dashboard.stripe.com/radar".to_owned()),
            Alarm::Differs => return None,
        };
        Some(format!("https://dashboard.stripe.com/{place}/{object_id}"))
    }
}

/// Writes to everybody who may see giving, once for each alarm.
///
/// # Errors
/// When the database fails, or a staff member's address does not open.
pub async fn tell(app: &Shared) -> Result<bool, StaffError> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let raised = alarms::take_untold(&mut tx, now).await?;
    if raised.is_empty() {
        return Ok(false);
    }
    let people = staff::store::people(&app.db, &app.keys).await?;
    let link = app.config.link("/staff/giving");
    let text = format!(
        "Something about giving needs somebody to look at it. The page says what, and what to weigh:\n{link}\n"
    );
    for person in people.into_iter().filter(|person| person.role.covers(Role::Finance)) {
        let message = Message {
            from: None,
            to: person.address,
            subject: "Friday: giving needs a look".to_owned(),
            text: text.clone(),
            html: None,
            headers: Vec::new(),
        };
        outbox::put(&mut tx, &app.keys, now, Note { kind: "staff-alarm", once: None, message }).await?;
    }
    tx.commit().await?;
    app.wake(outbox::TASK);
    Ok(true)
}
