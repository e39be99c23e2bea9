//! Random histories of givers, each told to a fresh Friday in twenty random orders, every event once to three times and
//! several at once. One ledger must come of all of them, and it must be the one that [`Giver`] has worked out by hand while
//! the history was made: it knows the calendar and the price list, and nothing of Friday or of the stand-in.
//!
//! `FRIDAY_TEST_HISTORIES` sets how many there are.

use crate::giving::open_at;
use crate::house::{House, NOW};
use friday::clock::Clock;
use friday::demo::stripe::{Handing, Method, Options, Outcome, RETRIES_AFTER_DAYS, Signed, StandIn, Visit};
use friday::support::apply::KINDS;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How many orders each history is told in.
const ORDERS: u64 = 20;
/// In every so manieth order some events are told while the history goes on, so that what is read then is not yet the end.
const LISTENS: u64 = 5;
/// How many givers share an account at Stripe.
const ACCOUNT: u64 = 50;
/// A history is so many steps long; between two of them ten days and seven hours pass, so that no step falls on a due hour.
const STEPS: u64 = 14;
const STEP: Duration = Duration::from_secs(10 * 86_400 + 7 * 3_600);
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A line of the ledger but for Stripe's id: kind, currency, amount.
type Line = (&'static str, String, i64);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite() {
    tell_all(async || Some(House::sqlite().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres() {
    tell_all(House::postgres).await;
}

#[expect(clippy::disallowed_methods, reason = "whoever runs the tests says how long they may take")]
fn how_many() -> u64 {
    std::env::var("FRIDAY_TEST_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

async fn tell_all(house: impl AsyncFn() -> Option<House>) {
    let histories = how_many();
    let Some(first) = house().await else { return };
    drop(first);
    let mut told = 0;
    for account in 0..histories.div_ceil(ACCOUNT) {
        let givers = ACCOUNT.min(histories - account * ACCOUNT);
        let (world, _) = World::make(account, givers, None).await;
        let mut first = None;
        for order in 0..ORDERS {
            let (house, mut random) = (house().await.unwrap(), Random::new(account, order));
            told += ACCOUNT;
            if order % LISTENS == LISTENS - 1 {
                // The same history once more, of which the house hears while it happens. What it reads takes numbers at the
                // stand-in, so Stripe's ids are others; the ledger by hand is the same.
                let (world, house) = World::make(account, givers, Some(house)).await;
                world.tell(house.unwrap(), &mut random).await;
                continue;
            }
            let ledger = world.tell(open_at(house, &world.stripe), &mut random).await;
            assert_eq!(*first.get_or_insert_with(|| ledger.clone()), ledger, "account {account}, order {order}");
        }
    }
    println!("{told} histories told");
}

/// xorshift64*: the same seed tells the same history.
struct Random(u64);

impl Random {
    fn new(a: u64, b: u64) -> Random {
        Random((a * 1_000_003 + b + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// An account at Stripe with its givers.
struct World {
    stripe: StandIn,
    givers: Vec<Giver>,
}

/// One giver, and the ledger of their gifts worked out by hand.
struct Giver {
    email: String,
    currency: &'static str,
    mode: Mode,
    starts: u64,
    lines: Vec<Line>,
    /// The payments that can be given back or disputed: Stripe's charge and what is left of it.
    charges: Vec<(String, i64)>,
    gift: Option<Recurring>,
    dispute: Option<(String, i64)>,
    /// The last refund: Stripe's id, its charge, how much.
    refund: Option<(String, String, i64)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Once,
    Debit(bool),
    Monthly,
    Annual,
}

/// A recurring gift by the calendar.
struct Recurring {
    subscription: String,
    customer: String,
    amount: i64,
    began: i64,
    months: i64,
    period: i64,
    /// When the unpaid bill is tried again, and how often it was tried.
    retry: Option<(i64, usize)>,
    works: bool,
    over: bool,
}

impl Recurring {
    /// The end of the nth period: the same day of a later month, or that month's last.
    fn due(&self, nth: i64) -> i64 {
        let began = Timestamp::from_second(self.began).unwrap().to_zoned_datetime(TimeZone::UTC);
        (began.checked_add(Span::new().months(nth * self.months)).unwrap()).timestamp().as_second()
    }

    /// How many payments come until then. A bill is tried an hour after a period ends, and if that fails some days later
    /// again; after the last time the gift is over.
    fn payments_until(&mut self, until: i64) -> usize {
        let mut paid = 0;
        while !self.over {
            let (at, tried) = self.retry.unwrap_or((self.due(self.period) + HOUR, 0));
            if at > until {
                break;
            }
            let days = RETRIES_AFTER_DAYS.get(tried);
            match (self.works, days) {
                (true, _) => paid += 1,
                (false, Some(days)) => {
                    self.period += i64::from(tried == 0);
                    self.retry = Some((at + days * DAY, tried + 1));
                    continue;
                }
                (false, None) => self.over = true,
            }
            self.period += i64::from(tried == 0);
            self.retry = None;
        }
        paid
    }
}

impl Giver {
    fn new(nth: u64, random: &mut Random) -> Giver {
        let mode = match random.below(8) {
            0 | 1 => Mode::Once,
            2 => Mode::Debit(true),
            3 => Mode::Debit(false),
            7 => Mode::Annual,
            _ => Mode::Monthly,
        };
        Giver {
            email: format!("giver{nth}@example.org"),
            currency: ["usd", "eur", "jpy", "kwd"][usize::try_from(random.below(4)).unwrap()],
            mode,
            starts: random.below(STEPS - 2),
            lines: Vec::new(),
            charges: Vec::new(),
            gift: None,
            dispute: None,
            refund: None,
        }
    }

    fn line(&mut self, kind: &'static str, amount: i64) {
        self.lines.push((kind, self.currency.to_uppercase(), amount));
    }

    /// A payment and what Stripe keeps of it: 2.9 % rounded half up, and 30.
    fn pays(&mut self, amount: i64) {
        self.line("payment", amount);
        self.line("fee", -((amount * 29 + 500) / 1000 + 30));
    }
}

impl World {
    /// An account and what happens in it, the same for the same number; with a house that hears of some of it meanwhile.
    async fn make(account: u64, givers: u64, house: Option<House>) -> (World, Option<House>) {
        let (mut random, mut hearing) = (Random::new(account, 1_000), Random::new(account, 2_000));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let options = Options { seed: account, ..Options::new(Clock::fixed(NOW)) };
        let stripe = StandIn::start(options).await.unwrap();
        let givers = (0..givers).map(|nth| Giver::new(nth, &mut random)).collect();
        let house = house.map(|house| open_at(house, &stripe));
        let mut world = World { stripe, givers };
        let mut now = NOW.seconds();
        for step in 0..STEPS {
            for nth in 0..world.givers.len() {
                if world.givers[nth].starts == step {
                    world.begins(nth, now, &http, &mut random).await;
                } else if world.givers[nth].starts < step {
                    world.acts(nth, &mut random);
                }
            }
            world.stripe.advance(STEP);
            now += i64::try_from(STEP.as_secs()).unwrap();
            for giver in &mut world.givers {
                let Some(gift) = &mut giver.gift else { continue };
                let (paid, amount) = (gift.payments_until(now), gift.amount);
                (0..paid).for_each(|_| giver.pays(amount));
            }
            world.learn_charges();
            if let Some(house) = &house {
                world.tell_some(house, &mut hearing).await;
            }
        }
        (world, house)
    }

    /// Tells a house some of what has happened so far, some of it for the second time. Of disputes it hears at the end: a lost
    /// one would end a gift, which the ledger by hand does not know.
    async fn tell_some(&self, house: &House, random: &mut Random) {
        for event in self.stripe.waiting(Handing::IN_ORDER) {
            let is_told = KINDS.contains(&event.kind.as_str()) && !event.kind.starts_with("charge.dispute.");
            if is_told && random.one_in(6) {
                post(house, &event).await;
            }
        }
        work(house).await;
    }

    /// A giver gives for the first time.
    async fn begins(&mut self, nth: usize, now: i64, http: &reqwest::Client, random: &mut Random) {
        let giver = &mut self.givers[nth];
        // Three-decimal currencies take whole tens only.
        let amount = i64::try_from(100 + random.below(9_900)).unwrap() * 10;
        let session = session(&self.stripe, http, giver, amount).await;
        if random.one_in(4) {
            assert_eq!(self.stripe.pay(&session, &Visit::declined(&giver.email)).unwrap(), Outcome::Declined);
        }
        if let Mode::Debit(is_good) = giver.mode {
            self.stripe.pay(&session, &Visit::by_debit(&giver.email, is_good)).unwrap();
            if is_good {
                giver.pays(amount);
            }
            return;
        }
        assert_eq!(self.stripe.pay(&session, &Visit::by_card(&giver.email)).unwrap(), Outcome::Paid);
        giver.pays(amount);
        let session = self.stripe.object(&session);
        if giver.mode == Mode::Once {
            let intent = self.stripe.object(session["payment_intent"].as_str().unwrap());
            giver.charges.push((intent["latest_charge"].as_str().unwrap().to_owned(), amount));
            return;
        }
        giver.gift = Some(Recurring {
            subscription: session["subscription"].as_str().unwrap().to_owned(),
            customer: session["customer"].as_str().unwrap().to_owned(),
            amount,
            began: now,
            months: if giver.mode == Mode::Annual { 12 } else { 1 },
            period: 1,
            retry: None,
            works: true,
            over: false,
        });
    }

    /// Something happens to a giver's gifts, or nothing does.
    fn acts(&mut self, nth: usize, random: &mut Random) {
        let (stripe, giver) = (&self.stripe, &mut self.givers[nth]);
        if let Some((dispute, amount)) = giver.dispute.take_if(|_| random.one_in(2)) {
            let is_won = random.one_in(2);
            stripe.close_dispute(&dispute, is_won).unwrap();
            if is_won {
                giver.line("reversal", amount);
            }
        }
        if let Some((refund, charge, amount)) = giver.refund.take_if(|_| random.one_in(6)) {
            stripe.fail_refund(&refund).unwrap();
            giver.line("reversal", amount);
            // What came back can be given back, or disputed, once more.
            match giver.charges.iter_mut().find(|(other, _)| *other == charge) {
                Some((_, left)) => *left += amount,
                None if stripe.object(&charge)["disputed"] == false => giver.charges.push((charge, amount)),
                None => {}
            }
        }
        if let Some(gift) = &mut giver.gift
            && !gift.over
        {
            match random.below(9) {
                0 | 1 => gift.works = false,
                2..=4 => gift.works = true,
                5 => {
                    stripe.end_subscription(&gift.subscription).unwrap();
                    gift.over = true;
                }
                _ => {}
            }
            stripe.set_cards(&gift.customer, if gift.works { Method::Works } else { Method::Declined });
        }
        match (random.below(8), giver.charges.pop()) {
            (0, Some((charge, left))) if giver.dispute.is_none() => {
                let dispute = stripe.open_dispute(&charge).unwrap();
                giver.line("dispute", -left);
                giver.line("fee", -1_500);
                giver.dispute = Some((dispute["id"].as_str().unwrap().to_owned(), left));
            }
            (1 | 2, Some((charge, left))) => {
                let part = if random.one_in(2) { left } else { (left / 3).max(1) };
                let refund = stripe.refund(&charge, Some(part)).unwrap();
                giver.line("refund", -part);
                giver.refund = Some((refund["id"].as_str().unwrap().to_owned(), charge.clone(), part));
                if part < left {
                    giver.charges.push((charge, left - part));
                }
            }
            (_, charge) => giver.charges.extend(charge),
        }
    }

    /// The charges of renewals, so that they can be given back as well.
    fn learn_charges(&mut self) {
        let charges = self.stripe.objects("charge");
        for giver in &mut self.givers {
            let Some(gift) = &giver.gift else { continue };
            let its = |charge: &&Value| {
                charge["customer"] == gift.customer.as_str() && charge["paid"] == true && charge["disputed"] == false
            };
            giver.charges = charges
                .iter()
                .filter(its)
                .map(|charge| {
                    let amount = |name: &str| charge[name].as_i64().unwrap();
                    (charge["id"].as_str().unwrap().to_owned(), amount("amount") - amount("amount_refunded"))
                })
                .filter(|(_, left)| *left > 0)
                .collect();
        }
    }

    /// Tells everything to a fresh house, in an order of its own, and answers its ledger with Stripe's ids.
    async fn tell(&self, house: House, random: &mut Random) -> Vec<(String, String, String, i64)> {
        let mut events: Vec<Signed> = Vec::new();
        for event in self.stripe.waiting(Handing::IN_ORDER) {
            if KINDS.contains(&event.kind.as_str()) {
                let copies = usize::try_from(1 + random.below(3)).unwrap();
                events.extend(std::iter::repeat_n(event, copies));
            }
        }
        for last in (1..events.len()).rev() {
            let other = usize::try_from(random.below(last as u64 + 1)).unwrap();
            events.swap(last, other);
        }
        let thirds: Vec<&[Signed]> = events.chunks(events.len().div_ceil(3).max(1)).collect();
        // Two workers take what is there while three hands post the rest.
        let posts = futures_util::future::join_all(thirds.into_iter().map(async |some| {
            for event in some {
                post(&house, event).await;
            }
        }));
        tokio::join!(posts, work(&house), work(&house));
        // What came before its payment waits, at most a few hours once all is here.
        for _ in 0..4 {
            work(&house).await;
            house.clock().advance(Duration::from_secs(3 * 3_600));
        }
        work(&house).await;
        self.compare(&house).await
    }

    async fn compare(&self, house: &House) -> Vec<(String, String, String, i64)> {
        let waiting = "SELECT COUNT(*) FROM support_events WHERE state IN ('waiting', 'failed')";
        assert_eq!(house.count(waiting).await, 0);
        let ledger: Vec<(String, String, String, i64)> = house
            .db()
            .read("SELECT object_id, kind, currency, amount FROM support_ledger ORDER BY object_id")
            .all()
            .await
            .unwrap();
        let mut ours: Vec<(&str, String, i64)> =
            ledger.iter().map(|(_, kind, currency, amount)| (kind.as_str(), currency.clone(), *amount)).collect();
        let mut by_hand: Vec<Line> = self.givers.iter().flat_map(|giver| giver.lines.clone()).collect();
        ours.sort();
        by_hand.sort();
        let (more, less) = (without(&ours, &by_hand), without(&by_hand, &ours));
        assert!(more.is_empty() && less.is_empty(), "not in the ledger by hand: {more:?}; only there: {less:?}");
        let mut sums: BTreeMap<String, i64> = BTreeMap::new();
        for (_, currency, amount) in &ours {
            *sums.entry(currency.to_lowercase()).or_default() += amount;
        }
        for (currency, sum) in sums {
            assert_eq!(sum, self.stripe.balance(&currency), "Stripe's balance in {currency}");
        }
        let payments = by_hand.iter().filter(|line| line.0 == "payment").count();
        let thanks = house.count("SELECT COUNT(*) FROM outbox WHERE kind = 'thanks'").await;
        assert_eq!(thanks, i64::try_from(payments).unwrap(), "each payment is thanked for once");
        let worths = "SELECT CAST(COALESCE(SUM(worth), 0) AS BIGINT) FROM support_turns";
        let worth =
            "SELECT CAST(COALESCE(SUM(CASE frequency WHEN 'annual' THEN amount / 12 ELSE amount END), 0) AS BIGINT)
             FROM support_gifts WHERE state IN ('active', 'failing')";
        assert_eq!(house.count(worths).await, house.count(worth).await, "the turns add up to the gifts");
        ledger
    }
}

async fn post(house: &House, event: &Signed) {
    let headers = [("stripe-signature", event.signature.as_str()), ("content-type", "application/json")];
    let answer = house.post_bytes("/stripe/webhook", &headers, event.body.clone().into_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Applies events until none is due.
async fn work(house: &House) {
    let task = friday::app::tasks().into_iter().find(|task| task.name() == "stripe-events").unwrap();
    while task.step(house.app.clone()).await.unwrap() {}
}

/// What is in the first list more often than in the second.
fn without<'a>(some: &[(&'a str, String, i64)], others: &[(&str, String, i64)]) -> Vec<(&'a str, String, i64)> {
    let mut left = some.to_vec();
    for other in others {
        if let Some(at) = left.iter().position(|line| line == other) {
            left.swap_remove(at);
        }
    }
    left
}

/// A page at Checkout, asked for as Friday asks for it.
async fn session(stripe: &StandIn, http: &reqwest::Client, giver: &Giver, amount: i64) -> String {
    let amount = amount.to_string();
    let mut form = vec![
        ("line_items[0][price_data][currency]", giver.currency),
        ("line_items[0][price_data][product_data][name]", "Support"),
        ("line_items[0][price_data][unit_amount]", &amount),
        ("line_items[0][quantity]", "1"),
        ("success_url", "http://localhost:8080/support/thanks?session={CHECKOUT_SESSION_ID}"),
        ("metadata[friday_attempt]", "7"),
    ];
    let interval = if giver.mode == Mode::Annual { "year" } else { "month" };
    match giver.mode {
        Mode::Once | Mode::Debit(_) => form.push(("mode", "payment")),
        Mode::Monthly | Mode::Annual => form.extend([
            ("mode", "subscription"),
            ("line_items[0][price_data][recurring][interval]", interval),
            ("subscription_data[metadata][friday_attempt]", "7"),
        ]),
    }
    let url = format!("{}/v1/checkout/sessions", stripe.base_url());
    let answer = http.post(url).bearer_auth("sk_test_standin_story").form(&form).send().await.unwrap();
    let made: Value = answer.json().await.unwrap();
    made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}
