//! Signing up, confirming, leaving, preferences: what a reader sees, what is stored, what arrives.

use crate::house::{House, story};
use friday::clock::DAY;
use std::time::Duration;

const ANNA: &str = "anna@example.org";

story!(nobody_is_a_reader_before_they_press_the_button, async |house: House| {
    let answer = house.post("/newsletters/weekly/subscribe", &[("email", ANNA)]).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 0);
    let mails = house.mails_to(ANNA).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].header("Auto-Submitted"), Some("auto-generated"));
    assert!(!mails[0].from.contains("Our newsroom"), "a stranger's mail names no newsroom: {}", mails[0].from);
    let link = mails[0].link("/confirm/");
    for _ in 0..3 {
        let page = house.get(&link).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("<form") && !page.body.contains(ANNA));
    }
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 0, "looking changes nothing");
    for _ in 0..2 {
        assert_eq!(house.post(&link, &[("edition", "links")]).await.status, 200, "pressing twice is pressing once");
    }
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 1);
    let (edition, week): (String, i64) = house
        .db()
        .read("SELECT edition, consent_week FROM subscribers JOIN subscriptions ON subscriber_id = id")
        .one()
        .await
        .unwrap();
    assert_eq!((edition.as_str(), week), ("links", house.app.clock.now().week().millis()));
});

story!(every_address_gets_the_same_answer_and_its_own_mail, async |house: House| {
    house.reader("reading@example.org", "weekly").await;
    house.reader("paused@example.org", "weekly").await;
    house.reader("left@example.org", "weekly").await;
    house
        .db()
        .write("UPDATE subscribers SET paused_until = $1 WHERE id = $2")
        .bind(house.app.clock.now() + 100 * DAY)
        .bind(id_of(&house, "paused@example.org").await)
        .execute()
        .await
        .unwrap();
    leave(&house, "left@example.org").await;
    house.clock().advance(2 * DAY);
    let mut answers = Vec::new();
    for address in ["new@example.org", "reading@example.org", "paused@example.org", "left@example.org"] {
        let form = house.post("/newsletters/weekly/subscribe", &[("email", address)]).await;
        house.clock().advance(2 * DAY);
        let json = house.post_json("/newsletters/weekly/subscribe", &serde_json::json!({ "email": address })).await;
        house.clock().advance(2 * DAY);
        answers.push((form.status, form.body, json.status, json.body));
    }
    assert_eq!((answers[0].0, answers[0].2), (202, 202));
    assert!(answers.iter().all(|a| *a == answers[0]), "one answer for all");
    let last = async |address: &str| house.mails_to(address).await.last().unwrap().subject.clone();
    assert_eq!(last("new@example.org").await, "Please confirm your address");
    assert_eq!(last("reading@example.org").await, "You already read us");
    assert_eq!(last("paused@example.org").await, "Your newsletter is paused");
    assert_eq!(last("left@example.org").await, "Would you like to come back?");
});

story!(an_address_gets_one_confirmation_a_day, async |house: House| {
    for typed in [ANNA, "Anna@Example.org", " anna@example.org "] {
        assert_eq!(house.post("/newsletters/weekly/subscribe", &[("email", typed)]).await.status, 202);
    }
    assert_eq!(house.mails_to(ANNA).await.len(), 1);
    house.clock().advance(DAY);
    house.post("/newsletters/weekly/subscribe", &[("email", ANNA)]).await;
    assert_eq!(house.mails_to(ANNA).await.len(), 2);
});

story!(a_confirmation_works_for_72_hours, async |house: House| {
    house.post("/newsletters/weekly/subscribe", &[("email", ANNA)]).await;
    let link = house.mails_to(ANNA).await[0].link("/confirm/");
    house.clock().advance(Duration::from_secs(72 * 3600));
    assert_eq!(house.get(&link).await.status, 410);
    assert_eq!(house.post(&link, &[]).await.status, 410);
    assert_eq!(house.post("/confirm/forged", &[]).await.status, 410);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 0);
});

story!(what_is_no_address_gets_one_sentence_and_keeps_what_was_typed, async |house: House| {
    let page = house.post("/newsletters/weekly/subscribe", &[("email", "joe..x@\"<b>")]).await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("Please check the address") && page.body.contains("joe..x@"));
    assert!(!page.body.contains("<b>"), "escaped");
    let json = house.post_json("/newsletters/weekly/subscribe", &serde_json::json!({ "email": "joe" })).await;
    assert_eq!(json.status, 422);
    assert!(json.body.starts_with("{\"error\":"));
    assert_eq!(house.post("/newsletters/none/subscribe", &[("email", ANNA)]).await.status, 404);
    assert_eq!(house.post("/newsletters/weekly/subscribe", &[("email", &"a".repeat(70_000))]).await.status, 413);
    assert!(house.mails().is_empty());
});

story!(a_slip_of_the_finger_is_asked_about_once, async |house: House| {
    const SLIP: &str = "anna@gmial.com";
    let path = "/newsletters/weekly/subscribe";
    let token = friday::web::FormAge::token(&house.app);
    house.clock().advance(Duration::from_secs(5));
    let asked = house.post(path, &[("email", SLIP), ("form_token", &token)]).await;
    assert!(asked.body.contains(&token), "the form keeps its age, or a quick answer would be a program's");
    assert!(asked.status == 422 && asked.body.contains("name=\"meant\" value=\"anna@gmail.com\""), "{}", asked.body);
    assert!(asked.body.contains(&format!("value=\"{SLIP}\" aria-invalid")), "what was typed stays");
    let first = asked.body.find("<button").map(|at| &asked.body[at..at + 60]).unwrap();
    assert!(!first.contains("meant"), "Enter presses the first button: {first}");
    assert!(house.mails().is_empty());
    assert_eq!(
        house
            .post(path, &[("email", SLIP), ("asked", SLIP), ("meant", "anna@gmail.com"), ("form_token", &token)])
            .await
            .status,
        202
    );
    assert_eq!(house.post(path, &[("email", SLIP), ("asked", SLIP)]).await.status, 202, "typed again, it is meant");
    assert_eq!(
        house.post_json(path, &serde_json::json!({ "email": "b@gmial.com" })).await.status,
        202,
        "a program is not asked"
    );
    let corrected = [("email", "anna@other.example"), ("asked", SLIP), ("meant", "anna@gmail.com")];
    assert_eq!(house.post(path, &corrected).await.status, 202, "what was typed since is what is meant");
    for address in ["anna@gmail.com", SLIP, "b@gmial.com", "anna@other.example"] {
        assert_eq!(house.mails_to(address).await.len(), 1, "{address}");
    }
});

story!(a_program_that_fills_the_trap_or_answers_at_once_is_told_nothing, async |house: House| {
    let trapped = [("email", ANNA), ("website", "https://spam.example")];
    assert_eq!(house.post("/newsletters/weekly/subscribe", &trapped).await.status, 202);
    let token = friday::web::FormAge::token(&house.app);
    let fast = [("email", ANNA), ("form_token", token.as_str())];
    assert_eq!(house.post("/newsletters/weekly/subscribe", &fast).await.status, 202);
    assert_eq!(house.mails_to(ANNA).await.len(), 0);
    house.clock().advance(Duration::from_secs(5));
    house.post("/newsletters/weekly/subscribe", &fast).await;
    assert_eq!(house.mails_to(ANNA).await.len(), 1, "a person takes seconds");
});

story!(sign_ups_of_one_network_are_limited_and_others_are_not, async |house: House| {
    let house = house.with(|c| c.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    let from = async |ip: &str, n: usize| {
        let email = format!("reader-{n}@example.org");
        house.post_with("/newsletters/weekly/subscribe", &[("x-forwarded-for", ip)], &[("email", &email)]).await.status
    };
    for n in 0..30 {
        assert_eq!(from(&format!("198.51.100.{n}"), n).await, 202);
    }
    assert_eq!(from("198.51.100.99", 30).await, 429);
    assert_eq!(from("203.0.113.1", 31).await, 202);
});

story!(one_click_leaves_in_either_form_without_cookie_or_redirect, async |house: House| {
    for (address, urlencoded) in [("a@example.org", true), ("b@example.org", false)] {
        house.reader(address, "weekly").await;
        let link = unsubscribe_path(&house, address).await;
        for _ in 0..10 {
            assert_eq!(house.get(&link).await.status, 200);
        }
        assert!(id_of(&house, address).await > 0, "a GET changes nothing");
        for _ in 0..2 {
            let page = match urlencoded {
                true => house.post(&link, &[("List-Unsubscribe", "One-Click")]).await,
                false => {
                    let body = b"--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
                    let kind = [("content-type", "multipart/form-data; boundary=x")];
                    house.post_bytes(&link, &kind, body.to_vec()).await
                }
            };
            assert_eq!(page.status, 200, "a repeat is answered alike");
            assert!(page.headers.get("set-cookie").is_none() && page.location().is_empty());
        }
    }
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 0, "the addresses are gone");
    assert_eq!(house.count("SELECT COUNT(*) FROM suppressions WHERE reason = 'left'").await, 2);
    assert_eq!(house.post("/unsubscribe/forged", &[]).await.status, 410);
});

story!(preferences_hold_from_the_next_issue_on, async |house: House| {
    house.reader(ANNA, "weekly").await;
    let path = preferences_path(&house, ANNA).await;
    let page = house.get(&path).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("anna"), "no address on the page");
    let all = [
        ("all", "1"),
        ("edition", "plain"),
        ("language", "ru"),
        ("pause", "4"),
        ("discreet", "1"),
        ("newsletter", "weekly"),
    ];
    let saved = house.post(&path, &all).await;
    assert!(saved.status == 200 && saved.body.contains("Сохранено"), "{}", saved.body);
    let (edition, language, discreet, asks, until): (String, Option<String>, bool, bool, Option<i64>) = house
        .db()
        .read("SELECT edition, language, discreet, no_asks, paused_until FROM subscribers")
        .one()
        .await
        .unwrap();
    assert_eq!((edition.as_str(), language.as_deref(), discreet, asks), ("plain", Some("ru"), true, false));
    assert_eq!(until, Some((house.app.clock.now() + 28 * DAY).millis()));
    house.post(&path, &[("pause", "0")]).await;
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers WHERE paused_until IS NULL AND discreet").await, 1);
    let held = house.post(&format!("{path}/held"), &[]).await;
    assert!(held.body.contains("\"edition\":\"plain\"") && !held.body.contains("anna"));
});

story!(whoever_asks_to_be_forgotten_is, async |house: House| {
    house.reader(ANNA, "weekly").await;
    let path = preferences_path(&house, ANNA).await;
    assert_eq!(house.post(&format!("{path}/forget"), &[]).await.status, 422, "not without the tick");
    assert_eq!(house.post(&format!("{path}/forget"), &[("sure", "1")]).await.status, 200);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 0);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscriptions").await, 0);
    assert_eq!(house.count("SELECT COUNT(*) FROM suppressions").await, 0, "no mark either");
    assert!(house.get(&path).await.body.contains("We hold nothing about you"));
});

story!(a_new_address_is_taken_when_it_is_confirmed_there, async |house: House| {
    const NEW: &str = "anna@new.example";
    house.reader(ANNA, "weekly").await;
    let id = id_of(&house, ANNA).await;
    let path = preferences_path(&house, ANNA).await;
    let ask = async |to: &str| house.post(&format!("{path}/address"), &[("email", to)]).await;
    assert_eq!(ask("anna@new").await.status, 422);
    let known = ask(ANNA).await;
    house.clock().advance(DAY);
    let unknown = ask(NEW).await;
    assert_eq!((known.status, known.body), (200, unknown.body), "the same answer whatever we know of an address");
    assert_eq!(id_of(&house, NEW).await, 0, "nothing moves before the button is pressed");
    let mail = &house.mails_to(NEW).await[0];
    assert!(!mail.from.contains("Our newsroom") && !mail.text.contains("Our newsroom"), "it may not be theirs");
    let link = mail.link("/move/");
    let page = house.get(&link).await;
    assert!(page.status == 200 && !page.body.contains("anna"), "{}", page.body);
    assert_eq!(id_of(&house, NEW).await, 0, "looking moves nobody");
    for _ in 0..2 {
        assert_eq!(house.post(&link, &[]).await.status, 200, "pressing twice is pressing once");
    }
    let moved = id_of(&house, NEW).await;
    assert!(id_of(&house, ANNA).await == 0 && moved != 0 && moved != id);
    let last = house.mails_to(ANNA).await.pop().unwrap();
    assert!(last.subject.contains("moves to another address") && !last.text.contains(NEW), "{}", last.text);
    let told = house.mails_to(ANNA).await.iter().filter(|mail| mail.subject == last.subject).count();
    assert_eq!(told, 1, "once");
    assert!(house.get(&path).await.body.contains("We hold nothing about you"), "the left mailbox leads to nobody");
    bounced(&house, id).await;
    assert_eq!(id_of(&house, NEW).await, moved, "the left mailbox bounces for itself alone");
    let onwards = move_link(&house, NEW, "anna@third.example").await;
    assert_eq!(house.post(&onwards, &[]).await.status, 200);
    house.post(&link, &[]).await;
    assert_eq!(id_of(&house, NEW).await, 0, "an older link does not move them back");
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 1);
    assert_eq!(house.count("SELECT COUNT(*) FROM moves WHERE until > 0").await, 2);
    house.clock().advance(40 * DAY);
    friday::subscribers::store::tidy(house.db(), house.app.clock.now()).await.unwrap();
    assert_eq!(house.count("SELECT COUNT(*) FROM moves").await, 0, "forgotten");
});

story!(who_moves_to_where_they_read_us_already_is_one_reader_from_then_on, async |house: House| {
    const THERE: &str = "anna@there.example";
    house.reader(ANNA, "weekly").await;
    house.reader(THERE, "weekly").await;
    let there = id_of(&house, THERE).await;
    let (old, kept) = (preferences_path(&house, ANNA).await, preferences_path(&house, THERE).await);
    house.post(&old, &[("all", "1"), ("discreet", "1"), ("newsletter", "weekly")]).await;
    let link = move_link(&house, ANNA, THERE).await;
    for _ in 0..2 {
        assert!(house.post(&link, &[]).await.body.contains("You have moved"), "pressing twice is pressing once");
    }
    assert_eq!((id_of(&house, ANNA).await, id_of(&house, THERE).await), (0, there));
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers WHERE discreet").await, 1, "discretion is kept");
    assert!(house.get(&old).await.body.contains("We hold nothing about you"), "shows nothing of the other");
    assert!(house.get(&kept).await.body.contains("What you receive"));
    assert_eq!(house.post(&unsubscribe_path(&house, THERE).await, &[]).await.status, 200);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 0, "the links there go on working");
});

story!(one_newsletter_can_be_changed_for_another_in_one_go, async |house: House| {
    let two = "[[newsletters]]\nslug = \"weekly\"\nname = \"A\"\n[[newsletters]]\nslug = \"zarya\"\nname = \"B\"\n";
    let house = house.with(|c| c.newsroom = friday::newsroom::Newsroom::from_toml(two).unwrap());
    house.reader(ANNA, "weekly").await;
    let path = preferences_path(&house, ANNA).await;
    assert_eq!(house.post(&path, &[("all", "1"), ("newsletter", "zarya")]).await.status, 200);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscriptions WHERE newsletter = 'zarya'").await, 1);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscriptions").await, 1);
});

story!(the_form_stands_in_a_frame_and_a_script_puts_it_there, async |house: House| {
    let frame = house.get("/embed/signup?newsletter=weekly").await;
    assert_eq!(frame.status, 200);
    assert!(frame.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors *"));
    assert!(frame.body.contains("target=\"_top\"") && frame.body.contains("/newsletters/weekly/subscribe"));
    assert_eq!(house.get("/embed/signup").await.status, 200, "the first newsletter");
    assert_eq!(house.get("/embed/signup?newsletter=none").await.status, 404);
    for name in ["signup", "support"] {
        let script = house.get(&format!("/embed/{name}.js")).await;
        assert!(script.status == 200 && script.body.contains("createElement('iframe')"));
        assert_eq!(script.headers["cross-origin-resource-policy"], "cross-origin");
        assert!(script.headers["content-type"].to_str().unwrap().starts_with("text/javascript"));
    }
});

story!(a_mail_waits_for_a_mail_server_that_is_away, async |house: House| {
    let away = house.with(|c| {
        let settings = [("FRIDAY_SMTP_URL".to_owned(), "smtp://127.0.0.1:1?tls=none".to_owned())];
        c.smtp = friday::config::Config::from_sources(settings.into(), None).unwrap().smtp;
    });
    assert_eq!(away.post("/newsletters/weekly/subscribe", &[("email", ANNA)]).await.status, 202);
    let hand = away.app.outbox_hand();
    assert!(friday::mail::outbox::step(&hand).await.is_err());
    assert_eq!(away.count("SELECT COUNT(*) FROM outbox WHERE state = 'waiting' AND attempts = 1").await, 1);
    let back = away.with(|c| c.smtp = None);
    assert_eq!(back.mails_to(ANNA).await.len(), 0, "not before its time");
    back.clock().advance(Duration::from_secs(60));
    assert_eq!(back.mails_to(ANNA).await.len(), 1);
    assert_eq!(back.count("SELECT COUNT(*) FROM outbox WHERE sealed IS NOT NULL").await, 0, "emptied");
});

story!(an_import_brings_readers_along_and_nobody_back, async |house: House| {
    use friday::subscribers::import::{Report, import};
    house.reader("reading@example.org", "weekly").await;
    house.reader("left@example.org", "weekly").await;
    leave(&house, "left@example.org").await;
    let file = house.folder.path().join("readers.csv");
    let rows = "\u{feff}Name,Email\nAnna,anna@example.org\nB,\"Boris@Example.org\"\nC,joe..x@example.org\nD,left@example.org\nE,READING@example.org\nF\nG,anna@example.org\n";
    std::fs::write(&file, rows).unwrap();
    let run = async |dry_run| import(&house.app, &file, "weekly", "On paper, 2024", dry_run).await.unwrap();
    let tried = run(true).await;
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 1, "a trial changes nothing");
    let report = run(false).await;
    assert_eq!(report, tried);
    let why: Vec<(u64, &str)> = report.refused.iter().map(|(line, why)| (*line, why.as_str())).collect();
    assert_eq!(
        why,
        [
            (4, "the part before the @ has a character or a dot where none can be"),
            (5, "left here earlier, or cannot be reached"),
            (7, "an address is missing"),
        ]
    );
    assert_eq!((report.added, report.already), (2, 2), "of those, one stands twice in the file");
    let again = run(false).await;
    assert_eq!((again.added, again.already), (0, 4), "twice is once");
    let proven = "SELECT COUNT(*) FROM subscriptions x JOIN consent_texts c ON c.id = x.consent_id WHERE c.text = 'On paper, 2024'";
    assert_eq!(house.count(proven).await, 2);
    std::fs::write(&file, "x@example.org\ny@example.org\n").unwrap();
    assert_eq!(run(false).await, Report { added: 2, already: 0, refused: vec![] }, "without a heading");
    let none = import(&house.app, &file, "none", "x", false).await.unwrap_err();
    assert_eq!(none.to_string(), "there is no newsletter \"none\"; there are: weekly");
});

story!(an_import_of_many_is_whole_also_when_the_first_try_was_cut_off, async |house: House| {
    use friday::subscribers::import::import;
    const MANY: u64 = 20_200;
    let name = |n: u64| format!("reader.{n}@example.org");
    house.reader(&name(7), "weekly").await;
    house.reader("left@example.org", "weekly").await;
    leave(&house, "left@example.org").await;
    let file = house.folder.path().join("readers.csv");
    let rows: Vec<String> = (0..MANY).map(name).chain((0..100).map(|n| name(n).to_uppercase())).collect();
    std::fs::write(&file, format!("email\n{}\nleft@example.org\n", rows.join("\n"))).unwrap();
    let cut_off = tokio::spawn({
        let (app, file) = (house.app.clone(), file.clone());
        async move { import(&app, &file, "weekly", "On paper", false).await.map(drop) }
    });
    while house.count("SELECT COUNT(*) FROM subscribers").await < 2 {
        tokio::task::yield_now().await;
    }
    cut_off.abort();
    assert!(cut_off.await.unwrap_err().is_cancelled());
    let report = import(&house.app, &file, "weekly", "On paper", false).await.unwrap();
    assert!(report.added > 0 && report.already > 100, "some were there: {}, {}", report.added, report.already);
    assert_eq!(report.added + report.already, MANY + 100, "of those, a hundred stand twice in the file");
    assert_eq!(report.refused, [(MANY + 102, "left here earlier, or cannot be reached".to_owned())]);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, MANY as i64);
    assert_eq!(house.count("SELECT COUNT(*) FROM subscriptions").await, MANY as i64);
    let again = import(&house.app, &file, "weekly", "On paper", false).await.unwrap();
    assert_eq!((again.added, again.already), (0, MANY + 100), "twice is once");
    // Who is counted in stretches is counted once.
    let now = house.app.clock.now();
    let audience = friday::delivery::store::audience(house.db(), "weekly", now).await.unwrap();
    assert_eq!(audience, [("full".to_owned(), MANY as i64)]);
    let choices = friday::subscribers::store::stretch::choices(house.db(), "weekly", "en", now).await.unwrap();
    assert_eq!(choices, [(friday::subscribers::Edition::Full, "en".to_owned())]);
    let page = house.staff(friday::staff::Role::Editor).await.get("/staff/readers").await.body;
    assert_eq!(page.matches(">20,200<").count(), 6, "all, new, in full, new, all, and in no language: {page}");
    // Each opens with the id beside it, and ids do not tell the order of the file.
    let mut ids = Vec::new();
    for n in 100..130 {
        let id = id_of(&house, &name(n)).await;
        let address = friday::subscribers::store::address(house.db(), &house.app.keys, id).await.unwrap().unwrap();
        assert_eq!(address.as_str(), name(n));
        ids.push(id);
    }
    assert!(!ids.is_sorted() && !ids.iter().rev().is_sorted());
});

/// How long the answer takes for an address of each standing, in turn. Prints a table and judges nothing: machines are
/// shared. `tests/bench/same-time` runs it.
#[tokio::test]
#[ignore = "a measurement"]
async fn measured_time_of_an_answer() {
    const ROUNDS: usize = 500;
    const ADDRESSES: [&str; 5] =
        ["new@example.org", "asked@example.org", "reading@example.org", "paused@example.org", "left@example.org"];
    let house = House::sqlite().await.with(|c| c.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]);
    for address in &ADDRESSES[2..] {
        house.reader(address, "weekly").await;
    }
    let paused = id_of(&house, "paused@example.org").await;
    let sql = "UPDATE subscribers SET paused_until = $1 WHERE id = $2";
    house.db().write(sql).bind(house.app.clock.now() + 5000 * DAY).bind(paused).execute().await.unwrap();
    leave(&house, "left@example.org").await;
    let mut times = vec![Vec::new(); ADDRESSES.len()];
    for round in 0..ROUNDS {
        house.post("/newsletters/weekly/subscribe", &[("email", "asked@example.org")]).await;
        for at in 0..ADDRESSES.len() {
            // No standing has a place of its own in the round.
            let which = (at + round) % ADDRESSES.len();
            let from = format!("10.{}.{}.1", round / 250, round % 250);
            let began = tokio::time::Instant::now();
            let answer = house
                .post_with(
                    "/newsletters/weekly/subscribe",
                    &[("x-forwarded-for", &from)],
                    &[("email", ADDRESSES[which])],
                )
                .await;
            times[which].push(began.elapsed().as_micros());
            assert_eq!(answer.status, 202);
        }
        house.clock().advance(DAY);
    }
    println!("answer to a sign-up, µs, of {ROUNDS} each    25 %  median    75 %");
    for (address, times) in ADDRESSES.iter().zip(&mut times) {
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 4];
        println!("{:<40} {:>6}  {:>6}  {:>6}", address.split('@').next().unwrap(), at(1), at(2), at(3));
    }
}

async fn id_of(house: &House, address: &str) -> i64 {
    let address = friday::address::Address::parse(address).unwrap();
    let found = friday::subscribers::store::find_by_address(house.db(), &house.app.keys, &address).await.unwrap();
    found.map_or(0, |reader| reader.id)
}

/// The link in the mail to `to`, for the reader at `from`.
async fn move_link(house: &House, from: &str, to: &str) -> String {
    let path = preferences_path(house, from).await;
    assert_eq!(house.post(&format!("{path}/address"), &[("email", to)]).await.status, 200);
    house.mails_to(to).await.iter().rev().find(|mail| mail.text.contains("/move/")).unwrap().link("/move/")
}

async fn bounced(house: &House, id: i64) {
    let mut tx = house.db().begin().await.unwrap();
    let (reason, now) = (friday::subscribers::Reason::Bounced, house.app.clock.now());
    friday::subscribers::store::suppress(&mut tx, id, reason, now).await.unwrap();
    tx.commit().await.unwrap();
}

async fn unsubscribe_path(house: &House, address: &str) -> String {
    let id = id_of(house, address).await;
    friday::subscribers::unsubscribe_link(&house.app.keys, "", id, "weekly", 1)
}

async fn preferences_path(house: &House, address: &str) -> String {
    let id = id_of(house, address).await;
    friday::subscribers::preferences_link(&house.app.keys, "", id, 1)
}

async fn leave(house: &House, address: &str) {
    let path = unsubscribe_path(house, address).await;
    assert_eq!(house.post(&path, &[]).await.status, 200);
}
