//! Money and crashes: what is lost and what is done twice when the program dies between any two steps, and what of a
//! giver is written down. The stand-in's own balance and a mail server that counts are the judges.

use crate::giving::Open;
use crate::house::{House, story};
use crate::newspaper::{Newspaper, Search, stop};
use crate::smtp_sink::Sink;
use friday::clock::Clock;
use friday::demo::stripe::{Handing, Options, Outcome, StandIn, Visit};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A future that dies at one of its steps, as everything does when the process is killed there.
struct Dying<F> {
    inner: Pin<Box<F>>,
    steps_left: usize,
}

impl<F: Future> Future for Dying<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.steps_left == 0 {
            return Poll::Ready(None);
        }
        self.steps_left -= 1;
        self.inner.as_mut().poll(cx).map(Some)
    }
}

/// Runs some steps of a future and drops it; what it answered, if it came to its end.
async fn die_after<F: Future>(steps: usize, future: F) -> Option<F::Output> {
    Dying { inner: Box::pin(future), steps_left: steps }.await
}

story!(the_worker_may_die_at_any_step_and_a_payment_counts_once, async |house: House| {
    let house = Open::new(house).await;
    let stripe = &house.stripe;
    let task = friday::app::tasks().into_iter().find(|task| task.name() == "stripe-events").unwrap();
    let counted = async || {
        let row: (i64, i64, i64, i64, i64) = house
            .db()
            .read(
                "SELECT (SELECT COUNT(*) FROM support_ledger WHERE kind = 'payment'),
                     (SELECT COUNT(*) FROM support_ledger WHERE kind = 'fee'),
                     (SELECT COUNT(*) FROM support_gifts), (SELECT COUNT(*) FROM outbox WHERE kind = 'thanks'),
                     (SELECT COUNT(*) FROM support_events WHERE state = 'done')",
            )
            .one()
            .await
            .unwrap();
        row
    };
    let (mut died, mut steps, mut paid) = (0, 0, 0);
    // How often it has to wait on its way differs with how busy the machine is, so the places to die at are gone
    // through again until there were enough.
    while died < 12 {
        // A giver of their own for each place to die at.
        paid += 1;
        house.give("monthly", "5", "USD", &format!("giver{paid}@example.org")).await;
        for event in stripe.waiting(Handing::IN_ORDER) {
            if event.kind == "invoice.paid" {
                let headers = [("stripe-signature", event.signature.as_str())];
                assert_eq!(house.post_bytes("/stripe/webhook", &headers, event.body.into_bytes()).await.status, 200);
            }
            stripe.answered(&event.id, true);
        }
        let ended = die_after(steps, task.step(house.app.clone())).await;
        let (payments, fees, gifts, thanks, done) = counted().await;
        assert!(payments == paid || payments == paid - 1, "{payments} of {paid}");
        assert_eq!(
            (payments, payments, payments, payments),
            (fees, gifts, thanks, done),
            "all of it or nothing, step {steps}"
        );
        // Whoever comes next takes over when the lease of the dead has run out, and when PostgreSQL has heard that they
        // are dead: until then their lock stands, and the event is passed over.
        house.clock().advance(Duration::from_secs(121));
        for tries in 0.. {
            while task.step(house.app.clone()).await.unwrap() {}
            if tries == 500 || counted().await == (paid, paid, paid, paid, paid) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(counted().await, (paid, paid, paid, paid, paid), "after dying at step {steps}");
        died += usize::from(ended.is_none());
        steps = if ended.is_none() { steps + 1 } else { 0 };
        assert!(paid < 200, "it died at {died} places only");
    }
    let net = house.count("SELECT CAST(SUM(amount) AS BIGINT) FROM support_ledger").await;
    assert_eq!(net, stripe.balance("usd"));
});

story!(the_webhook_may_die_at_any_step_and_an_event_is_kept_once, async |house: House| {
    let house = Open::new(house).await;
    let stripe = &house.stripe;
    let mut died = 0;
    for steps in 0.. {
        let body = format!(
            r#"{{"id":"evt_{steps}","type":"product.updated","livemode":false,"created":1,"data":{{"object":{{"id":"prod_1"}}}}}}"#
        );
        let signature = stripe.sign(&body);
        let headers = [("stripe-signature", signature.as_str())];
        let first = die_after(steps, house.post_bytes("/stripe/webhook", &headers, body.clone().into_bytes())).await;
        let kept = house.count("SELECT COUNT(*) FROM support_events").await;
        let told = i64::try_from(steps).unwrap();
        assert!(kept == told || kept == told + 1);
        assert!(first.is_none() || kept == told + 1, "what was answered is kept");
        // Stripe has had no answer, and tells it again.
        assert_eq!(house.post_bytes("/stripe/webhook", &headers, body.into_bytes()).await.status, 200);
        assert_eq!(house.count("SELECT COUNT(*) FROM support_events").await, told + 1);
        died += usize::from(first.is_none());
        if first.is_some() {
            break;
        }
    }
    assert!(died > 0, "it died nowhere");
});

/// How many give, and how often the program is killed meanwhile.
const GIVERS: usize = 40;
const KILLS: usize = 6;

story!(killed_while_readers_give_nothing_is_lost_doubled_or_written_down_about_them, async |house: House| {
    let sink = Sink::start().await;
    let mut newspaper = Newspaper::open(&house, &sink, "http://127.0.0.1:9/feed.xml").await;
    let options =
        Options { webhook: Some(newspaper.at("/stripe/webhook")), at_once: true, ..Options::new(Clock::system()) };
    let stripe = StandIn::start(options).await.unwrap();
    newspaper.variables.extend([
        ("FRIDAY_STRIPE_SECRET_KEY", "sk_test_standin_story".to_owned()),
        ("FRIDAY_STRIPE_WEBHOOK_SECRETS", "whsec_standin".to_owned()),
        ("FRIDAY_STRIPE_API_BASE", stripe.base_url().to_owned()),
    ]);
    let addresses: Vec<String> = (0..GIVERS).map(|n| format!("Giver.{n:04}+Gift@Needle{n}.Example.ORG")).collect();
    let names: Vec<String> = (0..GIVERS).map(|n| format!("Wilhelmina Needleworth-{n:04}")).collect();

    let mut server = newspaper.serve().await;
    for (nth, (address, name)) in addresses.iter().zip(&names).enumerate() {
        let frequency = ["once", "monthly", "annual"][nth % 3];
        let body = serde_json::json!({ "frequency": frequency, "amount": 25 + nth, "currency": "USD" });
        let answer = newspaper.client.post(newspaper.at("/support/checkout")).json(&body).send().await.unwrap();
        let url: serde_json::Value = answer.json().await.unwrap();
        let session = url["url"].as_str().unwrap().split('/').find(|part| part.starts_with("cs_")).unwrap().to_owned();
        let visit = Visit { name: Some(name.clone()), ..Visit::by_card(address) };
        assert_eq!(stripe.pay(&session, &visit).unwrap(), Outcome::Paid);
        if nth % (GIVERS / KILLS) == 3 {
            // At whatever it is doing for the ones before.
            tokio::time::sleep(Duration::from_millis(7 * nth as u64)).await;
            server.start_kill().unwrap();
            server.wait().await.unwrap();
            server = newspaper.serve().await;
        }
    }
    let thanked = |mails: usize| async move { mails };
    // What was under way when it was killed is taken up when its lease has run out: two minutes for an event, ten for a
    // mail. That long is not waited for: whoever runs it looks into the database, as here.
    for _ in 0..600 {
        let free = "UPDATE support_events SET next_at = 0 WHERE state = 'waiting' AND lease IS NOT NULL";
        house.db().write(free).execute().await.unwrap();
        house
            .db()
            .write("UPDATE outbox SET leased_until = 0, next_at = 0 WHERE state = 'waiting'")
            .execute()
            .await
            .unwrap();
        if house.count("SELECT COUNT(*) FROM support_ledger WHERE kind = 'payment'").await == GIVERS as i64
            && thanked(sink.count()).await >= GIVERS
            && stripe.waiting(Handing::IN_ORDER).is_empty()
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    newspaper.friday(&["stripe", "reconcile"]).await;
    newspaper.friday(&["backup", &newspaper.backup.display().to_string()]).await;
    stop(&mut server).await;

    let net = house.count("SELECT CAST(SUM(amount) AS BIGINT) FROM support_ledger").await;
    assert_eq!(net, stripe.balance("usd"), "to the cent");
    assert_eq!(house.count("SELECT COUNT(*) FROM support_ledger WHERE kind = 'payment'").await, GIVERS as i64);
    // A mail whose answer was lost with the process may come again, under the same Message-ID: it is the same mail.
    let mut mails: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
    for mail in sink.accepted() {
        let read = crate::house::Mail::read(&mail.raw, &mail.to, &mail.from);
        mails.entry(mail.to.to_lowercase()).or_default().insert(read.header("Message-ID").unwrap().to_owned());
    }
    assert_eq!(mails.len(), GIVERS, "everybody is thanked");
    assert!(mails.values().all(|ids| ids.len() == 1), "with one mail: {mails:?}");

    let needles: Vec<String> = addresses.iter().chain(&names).cloned().collect();
    let search = Search::for_all(&needles, house.folder.path());
    let places = newspaper.everything_written(&house).await;
    assert_eq!(search.hits(&places).await, Vec::<PathBuf>::new(), "nobody is named");
    let plant = house.db().write("INSERT INTO house (name, value) VALUES ('planted', $1)");
    plant.bind(names[3].clone().into_bytes()).execute().await.unwrap();
    let places = newspaper.everything_written(&house).await;
    assert!(!search.hits(&places).await.is_empty(), "a name in clear would be found");
});
