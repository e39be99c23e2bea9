//! Recurring gifts: one row for each subscription at Stripe.

use jiff::Span;
use jiff::tz::TimeZone;

use crate::clock::Moment;
use crate::db::{Db, Result, Tx};
use crate::money::{Currency, Money};
use crate::support::turns::Standing;
use crate::support::{Choice, Frequency, Gift, GiftState};
use crate::words::Language;

/// What our row of a gift says.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct GiftRow {
    /// Ours.
    pub id: i64,
    /// Stripe's.
    pub subscription_id: String,
    /// Stripe's id of who gives.
    pub customer_id: Option<String>,
    /// How often.
    pub frequency: Frequency,
    currency: String,
    amount: i64,
    /// The language of mails about it.
    pub language: Language,
    /// Where it is in its life.
    pub state: GiftState,
    /// When it began.
    pub started_at: Moment,
    /// When the next payment is due.
    pub renews_at: Option<Moment>,
    /// Until when it is paused.
    pub paused_until: Option<Moment>,
    /// The last month in which the card works, `2027-03`.
    pub card_until: Option<String>,
    /// When it is to end.
    pub ends_at: Option<Moment>,
    /// When it ended.
    pub ended_at: Option<Moment>,
    /// Stripe's word for why.
    pub ended_why: Option<String>,
    /// Whether its giver wished to be forgotten: no tie to an address is made any more.
    pub forgotten: bool,
}

impl GiftRow {
    /// How much each time. `None` for a currency that cannot be: the row was changed by hand.
    pub fn money(&self) -> Option<Money> {
        Currency::from_code(&self.currency).ok().map(|currency| Money::new(self.amount, currency))
    }

    /// What is given.
    pub fn choice(&self) -> Option<Choice> {
        Some(Choice { frequency: self.frequency, money: self.money()? })
    }

    /// How it stood at the last reading.
    pub fn standing(&self) -> Option<Standing> {
        let Choice { frequency, money } = self.choice()?;
        Some(Standing { frequency, money, state: self.state, ends: self.ends_at.is_some() })
    }

    /// When the next payment will be taken, if one will: after a pause it is the first due date that follows its end.
    pub fn next_at(&self) -> Option<Moment> {
        let due = self.renews_at.filter(|_| self.state != GiftState::Ended && self.ends_at.is_none())?;
        if self.state != GiftState::Paused {
            return Some(due);
        }
        let until = self.paused_until?;
        let first = due.to_jiff().to_zoned_datetime(TimeZone::UTC);
        let months = if self.frequency == Frequency::Annual { 12 } else { 1 };
        let mut dues = (0..=60).filter_map(|nth| first.checked_add(Span::new().months(nth * months)).ok());
        dues.find_map(|at| Some(Moment::from(at.timestamp())).filter(|at| *at >= until))
    }
}

macro_rules! gift_where {
    ($condition:literal) => {
        concat!(
            "SELECT id, subscription_id, customer_id, frequency, currency, amount, language, state, started_at, renews_at,
                 paused_until, card_until, ends_at, ended_at, ended_why, forgotten FROM support_gifts WHERE ",
            $condition
        )
    };
}

/// Writes a gift down as Stripe tells it. What has ended stays ended, and a card that was not told of stays known.
pub async fn keep(tx: &mut Tx, id: i64, gift: &Gift, language: Language) -> Result<()> {
    tx.query(
        "INSERT INTO support_gifts (id, subscription_id, customer_id, attempt_id, frequency, currency, amount, language,
             state, started_at, renews_at, ends_at, ended_at, ended_why, paused_until, card_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
         ON CONFLICT (subscription_id) DO UPDATE SET customer_id = excluded.customer_id, frequency = excluded.frequency,
             currency = excluded.currency, amount = excluded.amount, state = excluded.state,
             renews_at = excluded.renews_at, ends_at = excluded.ends_at, ended_at = excluded.ended_at,
             ended_why = excluded.ended_why, paused_until = excluded.paused_until,
             card_until = COALESCE(excluded.card_until, support_gifts.card_until)
         WHERE support_gifts.state <> 'ended'",
    )
    .bind(id)
    .bind(gift.subscription_id.clone())
    .bind(gift.customer_id.clone())
    .bind(gift.attempt_id)
    .bind(gift.frequency)
    .bind(gift.money.currency.code().to_owned())
    .bind(gift.money.minor)
    .bind(language)
    .bind(gift.state)
    .bind(gift.started_at)
    .bind(gift.renews_at)
    .bind(gift.ends_at)
    .bind(gift.ended_at)
    .bind(gift.ended_why.clone())
    .bind(gift.paused_until)
    .bind(gift.card_until.clone())
    .execute()
    .await?;
    Ok(())
}

/// The gift of that subscription.
pub async fn of_subscription(db: &Db, subscription_id: &str) -> Result<Option<GiftRow>> {
    db.read(gift_where!("subscription_id = $1")).bind(subscription_id.to_owned()).optional().await
}

/// The gift of that subscription, within a transaction.
pub async fn by_subscription(tx: &mut Tx, subscription_id: &str) -> Result<Option<GiftRow>> {
    tx.query(gift_where!("subscription_id = $1")).bind(subscription_id.to_owned()).optional().await
}

/// The gift of that id.
pub async fn by_id(db: &Db, id: i64) -> Result<Option<GiftRow>> {
    db.read(gift_where!("id = $1")).bind(id).optional().await
}

/// The gift that a payment was for.
pub async fn of_payment(db: &Db, payment_intent: &str) -> Result<Option<GiftRow>> {
    db.read(gift_where!("id = (SELECT gift_id FROM support_ledger WHERE payment_intent = $1 AND kind = 'payment')"))
        .bind(payment_intent.to_owned())
        .optional()
        .await
}

/// The id of the gift that a payment was for, within a transaction.
pub async fn id_of_payment(tx: &mut Tx, payment_intent: &str) -> Result<Option<i64>> {
    let found: Option<(Option<i64>,)> = tx
        .query("SELECT gift_id FROM support_ledger WHERE payment_intent = $1 AND kind = 'payment'")
        .bind(payment_intent.to_owned())
        .optional()
        .await?;
    Ok(found.and_then(|(id,)| id))
}

/// The gifts of whoever has that index, the running ones first.
pub async fn of_donor(db: &Db, donor: &[u8]) -> Result<Vec<GiftRow>> {
    db.read(gift_where!(
        "donor = $1 AND state <> 'pending'
         ORDER BY CASE state WHEN 'ended' THEN 1 ELSE 0 END, started_at DESC, id LIMIT 100"
    ))
    .bind(donor.to_vec())
    .all()
    .await
}

/// The gifts of whoever has that index that have not ended, also those whose first payment is not there.
pub async fn not_ended_of(db: &Db, donor: &[u8]) -> Result<Vec<GiftRow>> {
    db.read(gift_where!("donor = $1 AND state <> 'ended' ORDER BY id")).bind(donor.to_vec()).all().await
}

/// All gifts that have begun, the running ones first, from that one on.
pub async fn list(db: &Db, limit: i64, offset: i64) -> Result<Vec<GiftRow>> {
    db.read(gift_where!(
        "state <> 'pending' AND id IN (SELECT gift_id FROM support_ledger WHERE kind = 'payment' AND gift_id IS NOT NULL)
         ORDER BY CASE state WHEN 'ended' THEN 1 ELSE 0 END, started_at DESC, id LIMIT $1 OFFSET $2"
    ))
    .bind(limit)
    .bind(offset)
    .all()
    .await
}

/// How many gifts have begun.
pub async fn count(db: &Db) -> Result<i64> {
    let (count,) = db
        .read(
            "SELECT COUNT(*) FROM support_gifts WHERE state <> 'pending'
               AND id IN (SELECT gift_id FROM support_ledger WHERE kind = 'payment' AND gift_id IS NOT NULL)",
        )
        .one()
        .await?;
    Ok(count)
}

/// The gifts whose givers may have to be told of something ahead: due before `until` and annual, paused, or with a card
/// that works no longer than `month`.
pub async fn coming(db: &Db, until: Moment, month: &str, limit: i64, after: i64) -> Result<Vec<GiftRow>> {
    db.read(gift_where!(
        "state IN ('active', 'paused') AND renews_at <= $1 AND ends_at IS NULL AND id > $4
           AND (state = 'paused' OR frequency = 'annual' OR card_until <= $2)
         ORDER BY id LIMIT $3"
    ))
    .bind(until)
    .bind(month.to_owned())
    .bind(limit)
    .bind(after)
    .all()
    .await
}

/// Ties a gift to the index of who gives it, unless they wished to be forgotten.
pub async fn tie(tx: &mut Tx, subscription_id: &str, donor: &[u8]) -> Result<()> {
    tx.query("UPDATE support_gifts SET donor = $2 WHERE subscription_id = $1 AND NOT forgotten")
        .bind(subscription_id.to_owned())
        .bind(donor.to_vec())
        .execute()
        .await?;
    Ok(())
}

/// Cuts every tie between that index and what was given. Refused (false) while one of the gifts still runs.
pub async fn untie(tx: &mut Tx, donor: &[u8]) -> Result<bool> {
    let (living,): (i64,) = tx
        .query("SELECT COUNT(*) FROM support_gifts WHERE donor = $1 AND state <> 'ended'")
        .bind(donor.to_vec())
        .one()
        .await?;
    if living > 0 {
        return Ok(false);
    }
    tx.query("UPDATE support_gifts SET donor = NULL, forgotten = TRUE WHERE donor = $1")
        .bind(donor.to_vec())
        .execute()
        .await?;
    tx.query("UPDATE support_ledger SET donor = NULL WHERE donor = $1").bind(donor.to_vec()).execute().await?;
    Ok(true)
}
