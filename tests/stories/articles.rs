//! What feeds bring, from a server that behaves as real ones do.

use crate::house::{House, story};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use friday::articles::feed::{self, Document};
use friday::articles::store::{self, Search};
use friday::articles::{AddError, FeedError, PERIOD, add_by_url, task};
use friday::clock::DAY;
use friday::newsroom::FeedSetting;
use friday::staff::Actor;
use friday::staff::Role;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A host with one thing to serve, which tests change, and a count of how often it was asked.
#[derive(Clone)]
struct Host {
    url: String,
    shown: Arc<Mutex<(StatusCode, &'static str, Vec<u8>)>>,
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

impl Host {
    async fn serve(kind: &'static str, body: impl Into<Vec<u8>>) -> Host {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Host {
            url: format!("http://{}/feed", listener.local_addr().unwrap()),
            shown: Arc::new(Mutex::new((StatusCode::OK, kind, body.into()))),
            asked: Arc::default(),
        };
        let router = Router::new().fallback(answer).with_state(host.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        host
    }

    fn show(&self, status: StatusCode, kind: &'static str, body: impl Into<Vec<u8>>) {
        *self.shown.lock().unwrap() = (status, kind, body.into());
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn answer(State(host): State<Host>, headers: HeaderMap) -> Response {
    let given = headers.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok()).map(str::to_owned);
    host.asked.lock().unwrap().push(given.clone());
    let (status, kind, body) = host.shown.lock().unwrap().clone();
    let etag = format!("\"{}\"", body.len());
    if status == StatusCode::OK && given.as_deref() == Some(&etag) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    (status, [(header::CONTENT_TYPE, kind), (header::ETAG, &etag)], body).into_response()
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new("tests/fixtures/feeds").join(name)).unwrap()
}

fn rss(items: &[(&str, &str)]) -> String {
    let item = |(title, path): &(&str, &str)| {
        format!("<item><title>{title}</title><link>https://paper.example/{path}</link></item>")
    };
    format!(
        "<rss version=\"2.0\"><channel><title>Paper</title>{}</channel></rss>",
        items.iter().map(item).collect::<String>()
    )
}

/// A house that may read feeds of this machine.
fn open(house: House) -> House {
    house.with(|config| config.fetch_private = true)
}

async fn add(house: &House, url: &str, section: &str) {
    let mut tx = house.app.db.begin().await.unwrap();
    assert!(store::add_feed(&mut tx, house.app.clock.now(), url, section).await.unwrap());
    tx.commit().await.unwrap();
}

async fn articles(house: &House) -> i64 {
    house.count("SELECT COUNT(*) FROM articles").await
}

async fn only_feed(house: &House) -> friday::articles::Feed {
    let feeds = store::feeds(&house.app.db).await.unwrap();
    assert_eq!(feeds.len(), 1);
    feeds.into_iter().next().unwrap()
}

story!(a_newspapers_feed_becomes_articles_once, async |house: House| {
    let host = Host::serve("application/rss+xml", fixture("washington-post.xml")).await;
    let house = open(house);
    add(&house, &host.url, "features").await;
    house.work().await;
    let newest = store::newest(&house.app.db, 100).await.unwrap();
    assert_eq!(newest.len(), 29);
    assert!(newest.is_sorted_by_key(|a| std::cmp::Reverse(a.published_at)));
    for article in &newest {
        assert_eq!(article.section, "Features");
        assert!(!article.title.is_empty());
        assert!(!article.url.contains("wprss") && !article.summary.contains("Read full article"), "{article:?}");
        let body = article.body_html.as_deref().unwrap_or_default();
        assert!(!body.contains("<img") && !body.contains("pheedo"), "{body}");
    }
    let feed = only_feed(&house).await;
    assert_eq!((feed.articles, feed.problem.as_deref(), feed.failures), (29, None, 0));
    assert_eq!(feed.title.as_deref(), Some("Wellness: Health, Fitness, Nutrition & More - The Washington Post"));

    // Not asked before its time; then asked whether anything has changed, which it has not
    house.work().await;
    assert_eq!(host.asked(), 1);
    house.clock().advance(2 * PERIOD);
    house.work().await;
    assert_eq!(host.asked(), 2);
    assert!(host.asked.lock().unwrap()[1].is_some());
    assert_eq!(articles(&house).await, 29);
});

story!(what_a_feed_changes_is_changed_and_what_it_drops_stays, async |house: House| {
    let host = Host::serve("text/xml", rss(&[("One", "1"), ("Two", "2?utm_source=rss")])).await;
    let house = open(house);
    add(&house, &host.url, "").await;
    house.work().await;
    let id = store::by_url(&house.app.db, "https://paper.example/2?utm_medium=mail#x").await.unwrap().unwrap().id;
    host.show(StatusCode::OK, "text/xml", rss(&[("Two, corrected", "2"), ("Three", "3")]));
    house.clock().advance(2 * PERIOD);
    house.work().await;
    assert_eq!(articles(&house).await, 3);
    assert_eq!(store::get(&house.app.db, id).await.unwrap().unwrap().title, "Two, corrected");

    // Another feed with the same article does not change it back and forth
    let other = Host::serve("text/xml", rss(&[("Two, elsewhere", "2")])).await;
    add(&house, &other.url, "Opinion").await;
    house.work().await;
    let two = store::get(&house.app.db, id).await.unwrap().unwrap();
    assert_eq!((two.title.as_str(), two.section.as_str()), ("Two, corrected", "News"));
});

story!(a_feed_that_breaks_says_so_loses_nothing_and_comes_back, async |house: House| {
    let host = Host::serve("text/xml", rss(&[("One", "1")])).await;
    let house = open(house);
    add(&house, &host.url, "News").await;
    house.work().await;
    let broken = [
        (StatusCode::OK, "<!doctype html><html><body>Moved</body></html>", "This is a web page, not a feed."),
        (StatusCode::OK, "", "The address answered with nothing at all."),
        (StatusCode::OK, "{\"error\": true}", "This is JSON, but not a JSON Feed."),
        (StatusCode::NOT_FOUND, "", "The host answers with an error, 404 Not Found."),
    ];
    for (n, (status, body, sentence)) in broken.into_iter().enumerate() {
        host.show(status, "text/html", body);
        house.clock().advance(DAY);
        house.work().await;
        let feed = only_feed(&house).await;
        assert_eq!((feed.problem.as_deref(), feed.failures), (Some(sentence), n as i64 + 1));
        assert!(feed.failing_since.is_some() && feed.next_at > house.app.clock.now() + PERIOD);
        assert_eq!(articles(&house).await, 1);
    }
    host.show(StatusCode::OK, "text/xml", rss(&[("One", "1"), ("Two", "2")]));
    house.clock().advance(DAY);
    house.work().await;
    let feed = only_feed(&house).await;
    assert_eq!((feed.problem, feed.failures, feed.failing_since), (None, 0, None));
    assert_eq!(articles(&house).await, 2);

    host.show(StatusCode::GONE, "text/html", "");
    house.clock().advance(DAY);
    house.work().await;
    assert!(only_feed(&house).await.paused, "gone for good: not asked again");
    let asked = host.asked();
    house.clock().advance(DAY);
    house.work().await;
    assert_eq!((host.asked(), articles(&house).await), (asked, 2));
});

story!(two_processes_do_not_read_a_feed_twice_and_a_dead_one_does_not_keep_it, async |house: House| {
    let host = Host::serve("text/xml", rss(&[("One", "1")])).await;
    let house = open(house);
    add(&house, &host.url, "News").await;
    let (one, two) = tokio::join!(task::step(&house.app), task::step(&house.app));
    assert_eq!(usize::from(one.unwrap()) + usize::from(two.unwrap()), 1);
    assert_eq!(host.asked(), 1);

    house.clock().advance(DAY);
    let now = house.app.clock.now();
    let dead = store::claim(&house.app.db, now, now + PERIOD).await.unwrap().unwrap();
    house.work().await;
    assert_eq!(host.asked(), 1, "held");
    house.clock().advance(PERIOD);
    house.work().await;
    assert_eq!(host.asked(), 2);
    let mut tx = house.app.db.begin().await.unwrap();
    let late = store::finish(&mut tx, &dead, now, now, &store::Reading::default()).await.unwrap();
    assert!(!late, "what a reading says after its time does not count");
});

story!(feeds_of_the_settings_are_added_once_and_stay_removed, async |house: House| {
    let host = Host::serve("text/xml", rss(&[("One", "1")])).await;
    let setting = FeedSetting { url: host.url.clone(), section: Some("Analysis".to_owned()) };
    let house = open(house).with(|config| config.newsroom.feeds = vec![setting]);
    house.work().await;
    assert_eq!(articles(&house).await, 1);
    let feed = only_feed(&house).await;
    assert_eq!(feed.section, "Analysis");
    let editor = house.staff(Role::Editor).await;
    let path = format!("/staff/feeds/{}", feed.id);
    assert_eq!(editor.post(&path, &[("act", "remove")]).await.status, 303);
    house.clock().advance(DAY);
    house.work().await;
    assert!(store::feeds(&house.app.db).await.unwrap().is_empty());
    assert_eq!((host.asked(), articles(&house).await), (1, 1), "its articles stay");
    let editor = house.staff(Role::Editor).await;
    assert_eq!(editor.post("/staff/feeds", &[("url", &host.url), ("section", "Photos")]).await.status, 303);
    assert_eq!(only_feed(&house).await.section, "Photos", "adding it again brings it back");
});

story!(a_feed_is_tried_before_it_is_added, async |house: House| {
    let host = Host::serve("text/xml", fixture("oren-windows-1251.xml")).await;
    let house = open(house);
    let editor = house.staff(Role::Editor).await;
    let shown = editor.get("/staff/feeds").await;
    assert!(shown.status == 200 && shown.body.contains("No feed yet"));
    let tried = editor.post("/staff/feeds", &[("url", &host.url), ("section", "News"), ("act", "try")]).await;
    assert!(tried.body.contains("В Бузулуке главные стройплощадки – детсад и Ледовый дворец"), "{}", tried.body);
    assert!(tried.body.contains("10 articles at the moment") && store::feeds(&house.app.db).await.unwrap().is_empty());

    host.show(
        StatusCode::OK,
        "text/html",
        "<html><head><link rel=alternate type=application/rss+xml href='/real.xml'></head></html>",
    );
    let page = editor.post("/staff/feeds", &[("url", &host.url), ("section", "Opinion"), ("act", "add")]).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("This is a web page, not a feed.") && page.body.contains("/real.xml"));
    assert!(page.body.contains(&format!("value=\"{}\"", host.url)), "what was typed is still there");
    let not = editor.post("/staff/feeds", &[("url", "file:///etc/passwd"), ("act", "add")]).await;
    assert!(not.status == 422 && not.body.contains("An address begins with https:// or http://."));
    assert!(store::feeds(&house.app.db).await.unwrap().is_empty());

    host.show(StatusCode::OK, "text/xml", fixture("oren-windows-1251.xml"));
    let added = editor.post("/staff/feeds", &[("url", &host.url), ("section", "News"), ("act", "add")]).await;
    assert_eq!(added.location(), "/staff/feeds?done=added");
    house.work().await;
    let list = editor.get("/staff/feeds").await;
    assert!(list.body.contains("Good") && list.body.contains("Новости Оренбурга"), "{}", list.body);
    let id = only_feed(&house).await.id;
    for (act, word) in [("pause", "Paused"), ("resume", "Good")] {
        assert_eq!(editor.post(&format!("/staff/feeds/{id}"), &[("act", act)]).await.status, 303);
        assert!(editor.get("/staff/feeds").await.body.contains(word));
    }
    assert_eq!(house.count("SELECT COUNT(*) FROM staff_log WHERE action LIKE 'feed.%'").await, 3);
    assert_eq!(house.staff(Role::Finance).await.get("/staff/feeds").await.status, 403);
    assert_eq!(house.get("/staff/feeds").await.status, 303);
});

story!(staff_find_articles_by_words_in_any_letter_case, async |house: House| {
    let host = Host::serve("text/xml", fixture("oren-windows-1251.xml")).await;
    let house = open(house);
    add(&house, &host.url, "News").await;
    house.work().await;
    let find = async |text: &str, section: &str| {
        let search = Search { text: text.to_owned(), section: section.to_owned(), unsent: false };
        store::search(&house.app.db, &search, 1).await.unwrap().articles.len()
    };
    assert_eq!(find("", "All").await, 10);
    let unsent = Search { unsent: true, ..Search::default() };
    assert_eq!(store::search(&house.app.db, &unsent, 1).await.unwrap().articles.len(), 10);
    assert_eq!(find("ледовый ДВОРЕЦ бузулуке", "News").await, 1);
    assert_eq!(find("ледовый", "Opinion").await, 0);
    assert_eq!(find("%", "").await, 0, "a sign of the database's own is a sign like others");
    let editor = house.staff(Role::Editor).await;
    let page = editor.get("/staff/articles?q=%D0%9B%D0%95%D0%94%D0%9E%D0%92%D0%AB%D0%99&section=All").await;
    assert!(page.body.contains("Ледовый дворец") && !page.body.contains("Older articles"));
    let article = store::newest(&house.app.db, 1).await.unwrap().remove(0);
    let page = editor.get(&format!("/staff/articles/{}", article.id)).await;
    assert!(page.status == 200 && page.body.contains(article.body_html.as_deref().unwrap()), "the text as it is kept");
    assert_eq!(editor.get("/staff/articles/1").await.status, 404);
});

story!(an_article_that_no_feed_has_is_added_by_its_address, async |house: House| {
    let text = "Nobody had been warned, though the gauge upstream had sent its figures for three days. ".repeat(5);
    let page = format!(
        "<!doctype html><html lang=en><head><title>River</title><meta property=og:title content='The river rose'></head>
        <body><nav>Home</nav><article><p>{text}</p><script>x()</script></article></body></html>"
    );
    let host = Host::serve("text/html", page).await;
    let house = open(house);
    let article = add_by_url(&house.app, Actor::Cli, &host.url).await.unwrap();
    assert_eq!((article.title.as_str(), article.feed_id), ("The river rose", None));
    assert_eq!(article.body_html.as_deref(), Some(format!("<p>{text}</p>").as_str()));
    let noted = "SELECT COUNT(*) FROM staff_log WHERE action = 'article.add' AND object NOT LIKE '%?%'";
    assert_eq!(house.count(noted).await, 1, "what staff do is in the log");
    let again = add_by_url(&house.app, Actor::Cli, &format!("{}?utm_source=chat", host.url)).await.unwrap();
    assert_eq!((again.id, host.asked()), (article.id, 1), "it is here already");

    host.show(StatusCode::OK, "application/pdf", "%PDF-1.7");
    let editor = house.staff(Role::Editor).await;
    let refused = editor.post("/staff/articles", &[("url", &format!("{}.pdf", host.url))]).await;
    assert!(refused.status == 422 && refused.body.contains("This is not a web page"), "{}", refused.body);
    assert!(matches!(add_by_url(&house.app, Actor::Cli, "javascript:alert(1)").await, Err(AddError::Address)));
});

story!(a_private_address_is_read_only_where_the_settings_allow_it, async |house: House| {
    let host = Host::serve("text/xml", rss(&[("Secret", "1")])).await;
    let house = house.with(|config| config.fetch_private = false);
    let editor = house.staff(Role::Editor).await;
    for url in [host.url.clone(), host.url.replace("127.0.0.1", "localhost")] {
        let page = editor.post("/staff/feeds", &[("url", &url), ("act", "try")]).await;
        assert!(page.status == 422 && page.body.contains("private network"), "{}", page.body);
        add(&house, &url, "News").await;
    }
    house.work().await;
    assert_eq!((host.asked(), articles(&house).await), (0, 0));
});

/// Every feed of the parser's own tests: newspapers, podcasts, broken ones. Nothing panics, nothing hangs.
#[tokio::test]
async fn every_feed_at_hand_is_read_or_refused() {
    let mut files = Vec::new();
    for folder in [PathBuf::from("tests/fixtures/feeds"), parser_folder().join("fixture")] {
        collect(&folder, &mut files);
    }
    assert!(files.len() > 100, "only {} files", files.len());
    let mut articles = 0;
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [bytes.clone(), bytes[..bytes.len() / 2].to_vec(), wide] {
            match read(bytes).await {
                Ok(document) => articles += document.entries.len(),
                Err(FeedError::Lost(lost)) => panic!("{}: {lost}", file.display()),
                Err(_) => {}
            }
        }
    }
    assert!(articles > 350, "only {articles} articles");
}

#[tokio::test]
async fn real_feeds_are_read_in_their_charsets() {
    for (name, articles, title) in [
        ("washington-post.xml", 29, "Schools minister to kids’ fitness and nutrition needs"),
        ("canoe-latin1.xml", 30, "Bilan 2013 de la mairesse Roy-Laroche · «Les deuils sont durs à faire»"),
        ("oren-windows-1251.xml", 10, "В Бузулуке главные стройплощадки – детсад и Ледовый дворец"),
        ("heise.atom", 15, ""),
        ("washington-post-latin1.xml", 32, ""),
    ] {
        let document = read(fixture(name)).await.unwrap();
        assert_eq!(document.entries.len(), articles, "{name}");
        assert!(title.is_empty() || document.entries[0].title == title, "{name}: {}", document.entries[0].title);
        assert!(document.entries.iter().all(|e| e.url.starts_with("http") && !e.title.contains('\u{fffd}')), "{name}");
    }
    // The same Russian feed in the charset that Unix had, named and not
    let bytes = fixture("oren-windows-1251.xml");
    let (text, ..) = encoding_rs::WINDOWS_1251.decode(&bytes);
    let named = text.replace("windows-1251", "koi8-r");
    let (koi8, ..) = encoding_rs::KOI8_R.encode(&named);
    let titles = |document: Document| document.entries.into_iter().map(|e| e.title).collect::<Vec<_>>();
    let (left, right) = (titles(read(koi8.to_vec()).await.unwrap()), titles(read(bytes.clone()).await.unwrap()));
    // What KOI8-R has no letter for (a dash) is written as a reference and read back.
    assert_eq!(left, right);
}

async fn read(bytes: Vec<u8>) -> Result<Document, FeedError> {
    feed::parse(bytes, None, "https://paper.example/feed".parse().unwrap()).await
}

/// Where cargo keeps the parser's source, its tests' feeds with it. Not `--offline`: to name every package cargo wants
/// those of other platforms too, which a build on a new machine has not fetched.
fn parser_folder() -> PathBuf {
    let metadata = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let parser = metadata["packages"].as_array().unwrap().iter().find(|p| p["name"] == "feed-rs").unwrap();
    Path::new(parser["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if !path.to_string_lossy().ends_with(".md") {
            files.push(path);
        }
    }
}
