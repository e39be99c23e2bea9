//! The judge: what staff are shown of an issue that goes out, against what the mail server accepted.

use crate::house::{House, Visitor};
use crate::smtp_sink::Sink;
use friday::db::Db;
use friday::delivery::outcome::reason;
use friday::delivery::store::progress;
use friday::staff::Role;
use friday::subscribers;
use scraper::{ElementRef, Html, Selector};
use std::collections::{BTreeMap, BTreeSet};

/// The delivery page of an issue, as somebody reads it.
#[derive(Debug)]
pub struct Shown {
    /// "Going out", "Sent", …
    pub word: String,
    pub readers: i64,
    pub accepted: i64,
    pub deferred: i64,
    pub failed: i64,
    pub uncertain: i64,
    pub left: i64,
    pub waiting: i64,
    /// Reason and number of readers.
    pub reasons: Vec<(String, i64)>,
    /// What happened, the latest first.
    pub log: Vec<String>,
}

/// Somebody at the desk who knows all readers by name.
pub struct Judge {
    pub desk: Visitor,
    db: Db,
    audience: BTreeMap<i64, String>,
}

/// A reader's row.
#[derive(sqlx::FromRow)]
struct Row {
    subscriber_id: i64,
    state: String,
    trouble: Option<String>,
    uncertain: bool,
}

impl Judge {
    /// Signs in, and learns who the readers are.
    pub async fn of(house: &House) -> Judge {
        let desk = house.staff(Role::Publisher).await;
        Judge { desk, db: house.app.db.clone(), audience: audience(house).await }
    }

    /// Learns who the readers are now.
    pub async fn meet(&mut self, house: &House) {
        self.audience = audience(house).await;
    }

    /// Looks at the page, the list of the failed and the rows of an issue that nobody is sending at this moment, and holds
    /// them against the mail server. `lost` is how many outcomes a process may have taken with it when it was killed.
    pub async fn finds(&self, sink: &Sink, id: i64, lost: usize) -> Shown {
        let shown = self.page(id).await;
        let rows = self.rows(id).await;
        let names = |rows: &[&Row]| -> BTreeSet<String> {
            rows.iter().map(|row| self.audience[&row.subscriber_id].clone()).collect()
        };
        let pick = |fits: &dyn Fn(&Row) -> bool| -> Vec<&Row> { rows.iter().filter(|row| fits(row)).collect() };
        let count = |rows: &[&Row]| rows.len() as i64;

        // Nobody is skipped: each reader has a row, and each row is in exactly one figure.
        assert_eq!(shown.readers, self.audience.len() as i64, "{shown:?}");
        assert_eq!(shown.readers, rows.len() as i64, "{shown:?}");
        let (sent, failed) = (pick(&|row| row.state == "sent"), pick(&|row| row.state == "failed"));
        let uncertain = pick(&|row| row.uncertain);
        assert_eq!(shown.accepted, count(&sent), "{shown:?}");
        assert_eq!(shown.failed, count(&failed), "{shown:?}");
        assert_eq!(shown.uncertain, count(&uncertain), "{shown:?}");
        assert_eq!(shown.deferred, count(&pick(&|row| row.state == "waiting" && row.trouble.is_some())), "{shown:?}");
        assert_eq!(shown.waiting, count(&pick(&|row| row.state == "waiting" && row.trouble.is_none())), "{shown:?}");
        assert_eq!(shown.left, count(&pick(&|row| row.state == "skipped")), "{shown:?}");

        // Whoever is called sent has it; whoever has it is called sent, or uncertain, or was lost with a process.
        let got: BTreeSet<String> = sink.by_recipient().into_keys().collect();
        let sent = names(&sent);
        assert!(sent.is_subset(&got), "called sent, and never accepted: {:?}", sent.difference(&got));
        let known: BTreeSet<String> = sent.union(&names(&uncertain)).cloned().collect();
        let unknown: Vec<&String> = got.difference(&known).collect();
        assert!(unknown.len() <= lost, "{} have it and nobody knows: {unknown:?}", unknown.len());

        self.reasons_are_true(&shown, &rows);
        let listed = progress::failures(&self.db, id, i64::MIN, i64::MAX).await.unwrap();
        let listed: BTreeSet<i64> = listed.iter().map(|failure| failure.subscriber_id).collect();
        assert_eq!(listed, failed.iter().map(|row| row.subscriber_id).collect(), "all who failed can be listed");
        assert_eq!(sink.nonsense(), 0, "nothing was said to the mail server that belongs nowhere");
        shown
    }

    /// The same where nothing is lost, with everybody served exactly once.
    pub async fn finds_all_served_once(&self, sink: &Sink, id: i64) -> Shown {
        let shown = self.finds(sink, id, 0).await;
        assert_eq!((shown.word.as_str(), shown.accepted), ("Sent", shown.readers), "{shown:?}");
        assert_eq!((sink.by_recipient().len(), sink.doubled()), (self.audience.len(), 0));
        shown
    }

    fn reasons_are_true(&self, shown: &Shown, rows: &[Row]) {
        let mut expected: BTreeMap<(String, bool), i64> = BTreeMap::new();
        for row in rows.iter().filter(|row| matches!(row.state.as_str(), "waiting" | "failed")) {
            if let Some(trouble) = &row.trouble {
                *expected.entry((trouble.clone(), row.state == "waiting")).or_default() += 1;
            }
        }
        assert_eq!(shown.reasons.len(), expected.len(), "{expected:?}, shown {:?}", shown.reasons);
        for ((trouble, waits), readers) in expected {
            let is_code = trouble.starts_with(|c: char| c.is_ascii_digit());
            let found = shown.reasons.iter().any(|(text, n)| {
                let named = if is_code { text.starts_with(&trouble) } else { true };
                let text = text.to_lowercase();
                named && text.contains(reason(&trouble)) && text.ends_with("; tried again") == waits && *n == readers
            });
            assert!(found, "{readers} × {trouble}, shown {:?}", shown.reasons);
        }
    }

    async fn rows(&self, id: i64) -> Vec<Row> {
        let all = "SELECT subscriber_id, state, trouble, uncertain FROM deliveries WHERE issue_id = $1";
        self.db.read(all).bind(id).all().await.unwrap()
    }

    /// The delivery page as it is now.
    pub async fn page(&self, id: i64) -> Shown {
        let page = self.desk.get(&format!("/staff/issues/{id}/delivery")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let html = Html::parse_document(&page.body);
        let mut figures = BTreeMap::new();
        for figure in html.select(&select("#figures > div")) {
            let (term, value) = (figure.select(&select("dt")).next(), figure.select(&select("dd")).next());
            figures.insert(text(term.unwrap()), text(value.unwrap()));
        }
        let figure = |name: &str| figures.get(name).map_or(0, |value| number(value));
        let tried = html.select(&select("#progress p strong")).next().map(|strong| strong.parent().unwrap());
        let tried = text(ElementRef::wrap(tried.unwrap()).unwrap());
        let line = select("#failed tbody tr");
        let reasons = html.select(&line).map(|row| {
            let cells: Vec<String> = row.select(&select("td")).map(text).collect();
            (cells[0].clone(), number(&cells[1]))
        });
        Shown {
            word: html.select(&select("#progress .state")).next().map(text).unwrap(),
            readers: number(tried.split_once(" of ").unwrap().1),
            accepted: figure("Accepted"),
            deferred: figure("Deferred"),
            failed: figure("Failed"),
            uncertain: figure("Uncertain"),
            left: figure("Left meanwhile"),
            waiting: figure("Waiting"),
            reasons: reasons.collect(),
            log: html.select(&select("#log li")).map(text).collect(),
        }
    }

    /// Presses a button of the delivery page.
    pub async fn press(&self, id: i64, button: &str) {
        let answer = self.desk.post(&format!("/staff/issues/{id}/{button}"), &[]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
}

impl Shown {
    /// Whether something was noted about it.
    pub fn says(&self, part: &str) -> bool {
        self.log.iter().any(|line| line.contains(part))
    }
}

async fn audience(house: &House) -> BTreeMap<i64, String> {
    let rows: Vec<(i64, Vec<u8>)> =
        house.app.db.read("SELECT id, address_sealed FROM subscribers").all().await.unwrap();
    let open = |(id, sealed): (i64, Vec<u8>)| {
        (id, subscribers::open_address(&house.app.keys, id, &sealed).unwrap().as_str().to_owned())
    };
    rows.into_iter().map(open).collect()
}

fn select(css: &str) -> Selector {
    Selector::parse(css).unwrap()
}

fn text(element: ElementRef<'_>) -> String {
    element.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// "12,408" and "12 408 tried" are numbers.
fn number(text: &str) -> i64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}
