//! Issues, from the first draft to the archive.

use crate::house::{House, NOW, Page, Visitor, story};
use friday::app::Shared;
use friday::articles;
use friday::clock::{DAY, Moment};
use friday::digest::store::{self, FreezeError};
use friday::digest::{Draft, State};
use friday::staff::Role;

const WEEKLY: &str = "weekly";

/// Articles that a feed brought, the first the newest; their ids in that order.
pub(crate) async fn articles(app: &Shared, of: &[(&str, &str)]) -> Vec<i64> {
    let entry = |(at, (section, title)): (usize, &(&str, &str))| articles::Entry {
        guid: None,
        url: format!("https://valley.example/{at}"),
        title: (*title).to_owned(),
        author: Some("M. Orlova".to_owned()),
        section: Some((*section).to_owned()),
        published_at: Some(NOW - DAY * (at as u32 + 1)),
        summary: format!("What {title} is about."),
        body_html: Some(format!("<p>The whole of {title}.</p>")),
        picture: None,
        language: None,
    };
    let entries: Vec<_> = of.iter().enumerate().map(entry).collect();
    let mut tx = app.db.begin().await.unwrap();
    articles::store::take_in(&mut tx, NOW, None, &entries).await.unwrap();
    tx.commit().await.unwrap();
    let mut ids = Vec::new();
    for entry in entries {
        ids.push(articles::store::by_url(&app.db, &entry.url).await.unwrap().unwrap().id);
    }
    ids
}

/// A draft with these articles.
pub(crate) async fn draft(app: &Shared, subject: &str, of: &[i64]) -> i64 {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.unwrap();
    let id = store::create(&mut tx, now, WEEKLY, subject).await.unwrap();
    store::add(&mut tx, now, id, of, None).await.unwrap();
    tx.commit().await.unwrap();
    id
}

/// Freezes an issue and lets it be sent; its number.
pub(crate) async fn sent(app: &Shared, id: i64) -> i64 {
    let now = app.clock.now();
    let mut tx = app.db.begin().await.unwrap();
    let frozen = store::freeze(&mut tx, now, id, &app.newsroom(), &app.config.base_url).await.unwrap();
    assert!(store::move_state(&mut tx, now, id, State::Sending, State::Sent).await.unwrap());
    tx.commit().await.unwrap();
    frozen.number
}

/// The fields of the composer as its page has them, to be sent back with changes.
struct Composer {
    fields: Vec<(String, String)>,
}

impl Composer {
    fn of(page: &Page) -> Composer {
        use scraper::{Html, Selector};
        assert_eq!(page.status, 200, "{}", page.body);
        let html = Html::parse_document(&page.body);
        let all = Selector::parse("#issue input, #issue textarea, [form=issue]").unwrap();
        let mut fields = Vec::new();
        for field in html.select(&all).filter(|field| field.value().name() != "button") {
            let value = match field.value().name() {
                "textarea" => field.text().collect::<String>().trim_start_matches('\n').to_owned(),
                "select" => continue,
                _ => field.value().attr("value").unwrap_or_default().to_owned(),
            };
            if field.value().attr("type") != Some("checkbox") {
                fields.push((field.value().attr("name").unwrap().to_owned(), value));
            }
        }
        Composer { fields }
    }

    fn with(mut self, name: &str, value: &str) -> Composer {
        match self.fields.iter_mut().find(|(known, _)| known == name) {
            Some(field) => field.1 = value.to_owned(),
            None => self.fields.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    async fn post(&self, staff: &Visitor, path: &str) -> Page {
        let fields: Vec<(&str, &str)> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        staff.post(path, &fields).await
    }
}

async fn order(app: &Shared, id: i64) -> Vec<i64> {
    store::entries(&app.db, id).await.unwrap().iter().map(|entry| entry.article_id).collect()
}

story!(an_editor_puts_an_issue_together_and_every_step_is_in_the_log, async |house: House| {
    let ids = articles(&house.app, &[("News", "One"), ("Opinion", "Two"), ("News", "Three")]).await;
    let staff = house.staff(Role::Editor).await;
    let begun = staff.post("/staff/issues", &[("newsletter", WEEKLY), ("subject", ""), ("top", "5")]).await;
    assert_eq!((begun.status, begun.location()), (303, "/staff/issues/1"));
    assert_eq!(order(&house.app, 1).await, [ids[0], ids[2], ids[1]], "by sections, and the newest first within one");

    let page = staff.get("/staff/issues/1").await;
    let moved = Composer::of(&page).with("up", &ids[2].to_string()).post(&staff, "/staff/issues/1").await;
    assert_eq!(moved.status, 303);
    assert!(moved.location().ends_with(&format!("#e{}", ids[2])));
    assert_eq!(order(&house.app, 1).await, [ids[2], ids[0], ids[1]]);

    let page = staff.get("/staff/issues/1").await;
    let dragged = format!("{},ask,{},{}", ids[0], ids[2], ids[1]);
    Composer::of(&page)
        .with("order", &dragged)
        .with("introduction", "Good *morning*.")
        .post(&staff, "/staff/issues/1")
        .await;
    assert_eq!(order(&house.app, 1).await, [ids[0], ids[2], ids[1]]);
    let issue = store::issue(house.db(), 1).await.unwrap().unwrap();
    assert_eq!((issue.introduction.as_str(), issue.ask_after), ("Good *morning*.", Some(1)));

    let logged = house.count("SELECT COUNT(*) FROM staff_log WHERE action LIKE 'issue.%'").await;
    assert_eq!(logged, 3);
});

story!(every_button_of_the_composer_saves_first, async |house: House| {
    let ids = articles(&house.app, &[("News", "One"), ("News", "Two")]).await;
    let id = draft(&house.app, "Before", &ids[..1]).await;
    let staff = house.staff(Role::Editor).await;
    let path = format!("/staff/issues/{id}");
    let page = staff.get(&path).await;
    let added = Composer::of(&page).with("subject", "After").with("add", &ids[1].to_string()).post(&staff, &path).await;
    assert_eq!(added.status, 303);
    assert_eq!(order(&house.app, id).await.len(), 2);
    let searched =
        Composer::of(&staff.get(&path).await).with("preheader", "Typed").with("q", "two").post(&staff, &path).await;
    assert!(searched.location().contains("q=two"));
    // An address that is none is said beside its field, and what was typed is saved all the same.
    let refused = Composer::of(&staff.get(&path).await)
        .with("introduction", "Hi")
        .with("url", "nonsense")
        .post(&staff, &path)
        .await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("url-error"));
    let issue = store::issue(house.db(), id).await.unwrap().unwrap();
    assert_eq!(
        (issue.subject.as_str(), issue.preheader.as_str(), issue.introduction.as_str()),
        ("After", "Typed", "Hi")
    );
});

story!(two_editors_do_not_overwrite_each_other_silently, async |house: House| {
    let ids = articles(&house.app, &[("News", "One"), ("News", "Two")]).await;
    let id = draft(&house.app, "Before", &ids[..1]).await;
    let path = format!("/staff/issues/{id}");
    let (anna, boris) = (house.staff(Role::Editor).await, house.staff(Role::Publisher).await);
    let (hers, his) = (Composer::of(&anna.get(&path).await), Composer::of(&boris.get(&path).await));
    let added = hers.with("subject", "Hers").with("add", &ids[1].to_string()).post(&anna, &path).await;
    assert_eq!(added.status, 303);

    let refused = his.with("subject", "His").post(&boris, &path).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("Not saved: somebody else saved this issue"));
    assert!(
        refused.body.contains("Subject: theirs is “Hers”") && refused.body.contains("They have “Two”"),
        "{}",
        refused.body
    );
    let issue = store::issue(house.db(), id).await.unwrap().unwrap();
    assert_eq!(issue.subject, "Hers");

    // His text is still in the form; saving again is his decision.
    let page = Page { status: 200, ..refused };
    assert_eq!(Composer::of(&page).post(&boris, &path).await.status, 303);
    assert_eq!(store::issue(house.db(), id).await.unwrap().unwrap().subject, "His");
});

story!(a_preview_shows_what_is_typed_and_saves_nothing, async |house: House| {
    let ids = articles(&house.app, &[("News", "One")]).await;
    let id = draft(&house.app, "Before", &ids).await;
    let staff = house.staff(Role::Editor).await;
    let form = Composer::of(&staff.get(&format!("/staff/issues/{id}")).await).with("subject", "<b>Typed</b>");
    let shown = form.post(&staff, &format!("/staff/issues/{id}/preview?edition=full&lang=ru")).await;
    assert_eq!(shown.status, 200);
    assert!(shown.body.contains("&#60;b&#62;Typed&#60;/b&#62;") && shown.body.contains("The whole of One."));
    let policy = shown.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("sandbox")
            && policy.contains("frame-ancestors 'self'")
    );
    assert!(!shown.body.contains("FRIDAY-"), "no mark is left to be sent by hand");
    assert_eq!(store::issue(house.db(), id).await.unwrap().unwrap().subject, "Before");
    let text = staff.get(&format!("/staff/issues/{id}/preview?part=text")).await;
    assert!(text.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
});

story!(a_frozen_issue_never_changes, async |house: House| {
    let ids = articles(&house.app, &[("News", "One"), ("Opinion", "Two")]).await;
    let id = draft(&house.app, "", &ids).await;
    assert_eq!(sent(&house.app, id).await, 1);
    let before = store::editions(house.db(), id).await.unwrap();
    assert_eq!(before.len(), 12);
    assert!(before.iter().all(|edition| edition.hash == edition.rendered.hash()));
    let archived = house.get("/newsletters/weekly/issues/1").await;
    assert!(archived.body.contains("What One is about."));

    let mut tx = house.db().begin().await.unwrap();
    tx.query("UPDATE articles SET title = 'Changed', summary = 'Changed', body_html = 'Changed'")
        .execute()
        .await
        .unwrap();
    assert_eq!(store::add(&mut tx, NOW, id, &ids, None).await.unwrap(), None);
    assert!(!store::set_schedule(&mut tx, NOW, id, Some(NOW)).await.unwrap());
    tx.commit().await.unwrap();
    let after = store::editions(house.db(), id).await.unwrap();
    assert!(before.iter().zip(&after).all(|(one, other)| one.rendered == other.rendered));
    // The form below the article carries its age, which is all that may differ.
    let article = |page: &Page| page.body.split("</article>\n\n<nav").next().unwrap().to_owned();
    assert_eq!(article(&house.get("/newsletters/weekly/issues/1").await), article(&archived));
    let staff = house.staff(Role::Editor).await;
    assert!(!staff.get(&format!("/staff/issues/{id}")).await.body.contains("Changed"));

    let mut tx = house.db().begin().await.unwrap();
    let again = store::freeze(&mut tx, NOW, id, &house.app.newsroom(), "http://x").await.unwrap_err();
    assert!(matches!(again, FreezeError::State { state: State::Sent, .. }), "{again}");
});

story!(an_issue_that_cannot_be_frozen_is_as_it_was, async |house: House| {
    let id = draft(&house.app, "Nothing in it", &[]).await;
    let mut tx = house.db().begin().await.unwrap();
    let error = store::freeze(&mut tx, NOW, id, &house.app.newsroom(), "http://x").await.unwrap_err();
    assert!(matches!(error, FreezeError::Empty(_)), "{error}");
    drop(tx);
    let issue = store::issue(house.db(), id).await.unwrap().unwrap();
    assert_eq!((issue.state, issue.number, issue.subject.as_str()), (State::Draft, None, "Nothing in it"));
    assert_eq!(house.count("SELECT COUNT(*) FROM issue_editions").await, 0);
});

story!(a_discarded_draft_leaves_no_gap_in_the_numbers, async |house: House| {
    let ids = articles(&house.app, &[("News", "One")]).await;
    let (first, never, second) = (
        draft(&house.app, "First", &ids).await,
        draft(&house.app, "Never", &ids).await,
        draft(&house.app, "Second", &ids).await,
    );
    assert_eq!(sent(&house.app, first).await, 1);
    let staff = house.staff(Role::Editor).await;
    assert_eq!(staff.post(&format!("/staff/issues/{never}/discard"), &[]).await.status, 303);
    assert_eq!(
        staff.post(&format!("/staff/issues/{first}/discard"), &[]).await.status,
        422,
        "a sent issue is not discarded"
    );
    assert_eq!(sent(&house.app, second).await, 2);
});

story!(what_an_earlier_issue_had_is_shown_as_such, async |house: House| {
    let ids = articles(&house.app, &[("News", "One"), ("News", "Two")]).await;
    let first = draft(&house.app, "First", &ids[..1]).await;
    sent(&house.app, first).await;
    let next = draft(&house.app, "Next", &ids).await;
    let staff = house.staff(Role::Editor).await;
    let page = staff.get(&format!("/staff/issues/{next}")).await;
    assert!(page.body.contains("Sent in No. 1, in this issue"), "in the picker");
    assert!(page.body.contains("“One” was in No. 1"), "among the checks");
    let own = staff.get(&format!("/staff/issues/{first}")).await;
    assert!(!own.body.contains("Sent in No. 1"), "an issue does not repeat itself");
});

story!(the_archive_has_what_went_out_and_nothing_else, async |house: House| {
    let ids = articles(&house.app, &[("News", "One"), ("Photos", "Two")]).await;
    let before = house.get("/newsletters/weekly/issues").await;
    assert!(before.body.contains("No issue yet. The first one comes on Friday, 27 November 2026."), "{}", before.body);
    for (path, status) in
        [("/newsletters/weekly/preview", 200), ("/newsletters/weekly/issues/1", 404), ("/newsletters/none", 404)]
    {
        assert_eq!(house.get(path).await.status, status, "{path}");
    }
    let (id, stopped) = (draft(&house.app, "The bridge", &ids).await, draft(&house.app, "Wrong words", &ids).await);
    draft(&house.app, "Still a draft", &ids).await;
    sent(&house.app, id).await;
    let mut tx = house.db().begin().await.unwrap();
    store::freeze(&mut tx, NOW, stopped, &house.app.newsroom(), "http://x").await.unwrap();
    store::move_state(&mut tx, NOW, stopped, State::Sending, State::Cancelled).await.unwrap();
    tx.commit().await.unwrap();

    for path in [
        "/",
        "/newsletters/weekly",
        "/newsletters/weekly/preview",
        "/newsletters/weekly/issues",
        "/newsletters/weekly/issues/1",
    ] {
        let page = house.get(path).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("The bridge") || path == "/", "{path}");
        assert!(!page.body.contains("Wrong words") && !page.body.contains("Still a draft"), "{path}");
        assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    }
    assert_eq!(house.get("/newsletters/weekly/issues/2").await.status, 404);
    let russian = house.get("/newsletters/weekly/issues/1?lang=ru").await;
    assert!(russian.body.contains("<html lang=\"ru\"") && russian.body.contains("Фотографии"));
    assert!(russian.body.contains("<article class=\"stack\" lang=\"en\">"), "its text is still English");
});

story!(the_feed_of_issues_is_one_that_programs_read, async |house: House| {
    let ids = articles(&house.app, &[("News", "One & <two>")]).await;
    let empty = house.get("/newsletters/weekly/feed.xml").await;
    assert!(feed_rs::parser::parse(empty.body.as_bytes()).unwrap().entries.is_empty());
    let id = draft(&house.app, "Bits & pieces", &ids).await;
    sent(&house.app, id).await;
    let page = house.get("/newsletters/weekly/feed.xml").await;
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("application/atom+xml"));
    let feed = feed_rs::parser::parse(page.body.as_bytes()).unwrap();
    let entry = &feed.entries[0];
    assert_eq!(entry.title.as_ref().unwrap().content, "Bits & pieces");
    assert_eq!(entry.links[0].href, "http://localhost:8080/newsletters/weekly/issues/1");
    assert!(entry.content.as_ref().unwrap().body.as_ref().unwrap().contains("One &amp; &lt;two&gt;"));
    let tag = page.headers["etag"].to_str().unwrap();
    assert_eq!(house.get_with("/newsletters/weekly/feed.xml", &[("if-none-match", tag)]).await.status, 304);
});

story!(a_test_goes_to_a_few_addresses_and_says_that_it_is_one, async |house: House| {
    let ids = articles(&house.app, &[("News", "One")]).await;
    let id = draft(&house.app, "The bridge", &ids).await;
    let staff = house.staff(Role::Editor).await;
    let path = format!("/staff/issues/{id}");
    let form = Composer::of(&staff.get(&path).await).with("test", "1");
    let refused = form.with("to", "not an address").post(&staff, &path).await;
    assert_eq!(refused.status, 422);
    let form = Composer::of(&staff.get(&path).await).with("test", "1");
    assert_eq!(form.with("to", "a@desk.example\nb@desk.example").post(&staff, &path).await.status, 303);
    let mails = house.mails_to("a@desk.example").await;
    assert_eq!((mails.len(), house.mails().len()), (3, 6), "each edition to each");
    for mail in &mails {
        assert!(mail.subject.starts_with("[Test] The bridge ("), "{}", mail.subject);
        assert!(!mail.text.contains("FRIDAY-") && !mail.html.contains("FRIDAY-"));
        assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
    }
    let plain = mails.iter().find(|mail| mail.subject.contains("plain")).unwrap();
    assert!(!plain.headers.iter().any(|(name, value)| name == "Content-Type" && value.contains("multipart")));
    assert!(store::issue(house.db(), id).await.unwrap().unwrap().tested_at.is_some());
    assert!(staff.get(&path).await.body.contains("Test sent at"));
});

story!(issues_are_for_editors, async |house: House| {
    let ids = articles(&house.app, &[("News", "One")]).await;
    let id = draft(&house.app, "Mine", &ids).await;
    let finance = house.staff(Role::Finance).await;
    for path in ["/staff/issues".to_owned(), format!("/staff/issues/{id}"), format!("/staff/issues/{id}/preview")] {
        assert_eq!(house.get(&path).await.status, 303, "a stranger is asked to sign in");
        assert_eq!(finance.get(&path).await.status, 403, "{path}");
    }
    assert_eq!(finance.post(&format!("/staff/issues/{id}/discard"), &[]).await.status, 403);
    assert_eq!(house.post(&format!("/staff/issues/{id}"), &[("seen", "1")]).await.status, 401);
});

story!(a_draft_can_be_saved_after_a_save_in_the_same_millisecond, async |house: House| {
    let id = draft(&house.app, "One", &[]).await;
    let seen = store::issue(house.db(), id).await.unwrap().unwrap().changed_at;
    let save = async |seen: Moment, subject: &str| {
        let draft = Draft { subject: subject.to_owned(), ..Draft::default() };
        let mut tx = house.db().begin().await.unwrap();
        let saved = store::save(&mut tx, NOW, id, seen, &draft).await.unwrap();
        tx.commit().await.unwrap();
        saved
    };
    let store::Saved::Yes(later) = save(seen, "Two").await else { panic!("saved") };
    assert!(later > seen);
    assert!(matches!(save(seen, "Lost").await, store::Saved::Conflict(_)));
    assert!(matches!(save(later, "Three").await, store::Saved::Yes(_)));
});
