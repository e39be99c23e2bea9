//! Who works here: the door, sessions, roles, the log.

use crate::house::{House, Page, Visitor, story};
use friday::address::Address;
use friday::staff::{Actor, Role, store};
use std::time::Duration;

const MAIL: &str = "m.orlova@example.org";
const PASSWORD: &str = "correct horse battery";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// An account, and the path of its one-time link.
async fn add(house: &House, address: &str, role: Role) -> (i64, String) {
    let now = house.app.clock.now();
    let address = Address::parse(address).unwrap();
    let mut tx = house.app.db.begin().await.unwrap();
    let id = store::add(&mut tx, &house.app.keys, Actor::Cli, now, &address, role, address.local()).await.unwrap();
    let path = store::invite(&mut tx, &house.app.keys, now, id).await.unwrap();
    tx.commit().await.unwrap();
    (id, path)
}

/// An account with a password.
async fn account(house: &House, address: &str, role: Role) -> i64 {
    let (id, path) = add(house, address, role).await;
    let set = house.post(&path, &[("name", "M. Orlova"), ("password", PASSWORD)]).await;
    assert_eq!(set.status, 303, "{}", set.body);
    id
}

async fn sign_in(visitor: &Visitor, address: &str, password: &str) -> Page {
    visitor.post("/staff/sign-in", &[("email", address), ("password", password), ("next", "/staff")]).await
}

fn location(page: &Page) -> &str {
    page.headers.get("location").map_or("", |to| to.to_str().unwrap())
}

story!(before_anybody_works_here_the_door_says_what_to_type, async |house: House| {
    let page = house.get("/staff/sign-in").await;
    assert!(page.body.contains("friday staff add you@example.org --role admin"), "{}", page.body);
    add(&house, MAIL, Role::Admin).await;
    let page = house.get("/staff/sign-in").await;
    assert!(!page.body.contains("staff add") && page.body.contains("name=\"password\""), "{}", page.body);
});

story!(a_one_time_link_lets_somebody_in_once, async |house: House| {
    let (_, path) = add(&house, MAIL, Role::Editor).await;
    let visitor = house.visitor();
    for _ in 0..2 {
        let shown = visitor.get(&path).await;
        assert_eq!(shown.status, 200, "looking uses nothing up");
        assert!(shown.body.contains(MAIL) && shown.body.contains("Set the password and sign in"));
    }
    let weak = visitor.post(&path, &[("name", "M. Orlova"), ("password", "password1234")]).await;
    assert_eq!(weak.status, 422, "a password that is tried first");
    let set = visitor.post(&path, &[("name", " M.  Orlova\n"), ("password", PASSWORD)]).await;
    assert_eq!((set.status, location(&set)), (303, "/staff"));
    let desk = visitor.get("/staff").await;
    assert!(desk.status == 200 && desk.body.contains("M. Orlova"), "signed in, by the name that was typed");
    let again = house.post(&path, &[("name", "Eve"), ("password", "another good sentence")]).await;
    assert_eq!(again.status, 410, "used up");
    assert_eq!(house.get(&path).await.status, 410);
    assert_eq!(sign_in(&house.visitor(), MAIL, PASSWORD).await.status, 303);
});

story!(a_one_time_link_ends_after_a_day_or_with_the_next, async |house: House| {
    let (id, first) = add(&house, MAIL, Role::Editor).await;
    let now = house.app.clock.now();
    let mut tx = house.app.db.begin().await.unwrap();
    let second = store::invite(&mut tx, &house.app.keys, now, id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(house.get(&first).await.status, 410, "replaced");
    assert_eq!(house.get(&second).await.status, 200);
    house.clock().advance(24 * HOUR);
    assert_eq!(house.get(&second).await.status, 410, "too old");
    assert_eq!(house.post(&second, &[("name", "x"), ("password", PASSWORD)]).await.status, 410);
    assert_eq!(house.get("/staff/set-password/nonsense").await.status, 410);
});

story!(the_door_answers_alike_whether_an_address_has_an_account, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    add(&house, "not.yet@example.org", Role::Editor).await;
    // Until the waiting begins and into it, answer by answer.
    let mut answers = Vec::new();
    for address in [MAIL, "not.yet@example.org", "stranger@example.org", "no address"] {
        let mut seen = Vec::new();
        for _ in 0..7 {
            let page = sign_in(&house.visitor(), address, "wrong wrong wrong").await;
            seen.push((page.status, page.body.replace(address, "ADDRESS")));
        }
        answers.push(seen);
    }
    assert!(answers.windows(2).all(|two| two[0] == two[1]));
    assert_eq!(answers[0].iter().map(|(status, _)| *status).collect::<Vec<_>>(), [422, 422, 422, 422, 422, 429, 429]);
});

story!(guessing_gets_slower_and_locks_nobody_out, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    for _ in 0..5 {
        assert_eq!(sign_in(&house.visitor(), MAIL, "wrong wrong wrong").await.status, 422);
    }
    let waiting = sign_in(&house.visitor(), MAIL, PASSWORD).await;
    assert_eq!(waiting.status, 429, "not even the right one is looked at");
    assert!(waiting.headers.contains_key("retry-after"));
    house.clock().advance(MINUTE);
    assert_eq!(sign_in(&house.visitor(), MAIL, "wrong wrong wrong").await.status, 422);
    house.clock().advance(MINUTE);
    assert_eq!(sign_in(&house.visitor(), MAIL, PASSWORD).await.status, 429, "now it is two minutes");
    house.clock().advance(MINUTE);
    assert_eq!(sign_in(&house.visitor(), MAIL, PASSWORD).await.status, 303);
    assert_eq!(sign_in(&house.visitor(), MAIL, "wrong wrong wrong").await.status, 422, "and the count is new");
});

story!(a_hundred_guesses_at_the_same_moment_are_a_hundred_guesses, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    let visitor = house.visitor();
    let guesses = (0..20).map(|_| sign_in(&visitor, MAIL, "wrong wrong wrong"));
    let answers = futures_util::future::join_all(guesses).await;
    assert_eq!(answers.iter().filter(|page| page.status == 422).count(), 5);
});

story!(a_session_ends_when_nobody_clicks_and_after_a_week, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    let visitor = house.visitor();
    sign_in(&visitor, MAIL, PASSWORD).await;
    house.clock().advance(12 * HOUR - MINUTE);
    assert_eq!(visitor.get("/staff").await.status, 200);
    house.clock().advance(12 * HOUR);
    assert_eq!(visitor.get("/staff").await.status, 303, "twelve hours without a click");
    sign_in(&visitor, MAIL, PASSWORD).await;
    for _ in 0..7 * 3 - 1 {
        house.clock().advance(8 * HOUR);
        assert_eq!(visitor.get("/staff").await.status, 200);
    }
    house.clock().advance(8 * HOUR);
    assert_eq!(visitor.get("/staff").await.status, 303, "seven days, however busy");
    house.work().await;
    let left: (i64,) = house.app.db.read("SELECT COUNT(*) FROM staff_sessions").one().await.unwrap();
    assert_eq!(left.0, 0, "what has ended is removed");
});

story!(signing_out_is_signing_out, async |house: House| {
    let id = account(&house, MAIL, Role::Editor).await;
    let (here, there, elsewhere) = (house.visitor(), house.visitor(), house.visitor());
    for visitor in [&here, &there, &elsewhere] {
        sign_in(visitor, MAIL, PASSWORD).await;
    }
    // The cookie itself is worthless afterwards, not only gone from the browser.
    let cookie = here.cookies();
    assert_eq!(here.post("/staff/sign-out", &[]).await.status, 303);
    assert_eq!(here.get("/staff").await.status, 303);
    assert_eq!(house.get_with("/staff", &[("cookie", &cookie)]).await.status, 303);
    assert_eq!(there.get("/staff").await.status, 200);
    there.post("/staff/sign-out", &[("everywhere", "yes")]).await;
    assert_eq!(elsewhere.get("/staff").await.status, 303);
    assert_eq!(store::open_sessions(&house.app.db, id, house.app.clock.now()).await.unwrap(), 0);
    assert_eq!(house.get("/staff/sign-out").await.status, 405, "no link signs anybody out");
});

story!(who_is_not_signed_in_is_sent_to_the_door_and_then_on, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    let visitor = house.visitor();
    let sent = visitor.get("/staff/log?page=2").await;
    assert_eq!((sent.status, location(&sent)), (303, "/staff/sign-in?next=%2Fstaff%2Flog%3Fpage%3D2"));
    let door = visitor.get(location(&sent)).await;
    assert!(door.body.contains("value=\"/staff/log?page=2\""));
    assert_eq!(door.headers["cache-control"], "no-store");
    let fields = |next| [("email", MAIL), ("password", PASSWORD), ("next", next)];
    assert_eq!(location(&visitor.post("/staff/sign-in", &fields("/staff/log?page=2")).await), "/staff/log?page=2");
    for elsewhere in ["https://evil.example/", "//evil.example/staff", "/\\evil.example", ""] {
        assert_eq!(location(&house.visitor().post("/staff/sign-in", &fields(elsewhere)).await), "/staff");
    }
    let pressed = house.visitor().post("/staff/people", &[("email", "a@example.org"), ("role", "admin")]).await;
    assert_eq!(pressed.status, 401);
    assert!(pressed.body.contains("nothing that you typed is lost"));
});

story!(a_sign_in_is_a_new_session_with_a_cookie_for_this_host_alone, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    let visitor = house.visitor();
    let first = sign_in(&visitor, MAIL, PASSWORD).await;
    let cookie = first.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    assert!(!cookie.contains("Domain") && !cookie.contains("Max-Age"));
    let before = visitor.cookies();
    sign_in(&visitor, MAIL, PASSWORD).await;
    assert_ne!(visitor.cookies(), before);
    assert_eq!(house.get_with("/staff", &[("cookie", &before)]).await.status, 303, "the one before is over");
    let token = before.split_once('=').unwrap().1;
    let kept: Vec<(Vec<u8>,)> = house.app.db.read("SELECT mark FROM staff_sessions").all().await.unwrap();
    assert!(kept.iter().all(|(mark,)| !token.as_bytes().windows(mark.len()).any(|window| window == mark)));
});

story!(over_tls_the_cookie_says_so, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    let house = house.with(|config| config.base_url = "https://news.example".to_owned());
    let visitor = house.visitor();
    let cookie = sign_in(&visitor, MAIL, PASSWORD).await.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-friday=") && cookie.contains("; Secure"), "{cookie}");
    assert_eq!(visitor.get("/staff/you").await.status, 200);
});

story!(each_role_sees_and_may_do_its_own_part, async |house: House| {
    let links = |page: &Page| {
        let entries = [
            "/staff/issues",
            "/staff/feeds",
            "/staff/delivery",
            "/staff/readers",
            "/staff/giving",
            "/staff/people",
            "/staff/log",
        ];
        entries
            .iter()
            .filter(|href| page.body.contains(&format!("href=\"{href}\"")))
            .map(|href| &href[7..])
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (role, sees, people) in [
        (Role::Editor, "issues feeds delivery readers log", 403),
        (Role::Publisher, "issues feeds delivery readers log", 403),
        (Role::Finance, "readers giving log", 403),
        (Role::Admin, "issues feeds delivery readers giving people log", 200),
    ] {
        let visitor = house.staff(role).await;
        let log = visitor.get("/staff/log").await;
        assert_eq!(links(&log), sees, "{role:?}");
        assert_eq!(visitor.get("/staff/people").await.status, people, "{role:?}");
        let wish = [("email", "friend@example.org"), ("role", "admin")];
        assert_eq!(visitor.post("/staff/people", &wish).await.status, people, "{role:?}");
        for page in ["/staff", "/staff/readers", "/staff/you"] {
            assert_eq!(visitor.get(page).await.status, 200, "{role:?} {page}");
        }
    }
});

story!(an_admin_lets_people_in_changes_them_and_removes_them, async |house: House| {
    let admin = house.staff(Role::Admin).await;
    let wish = [("email", "t.berg@example.org"), ("name", "T. Berg"), ("role", "editor")];
    let added = admin.post("/staff/people", &wish).await;
    let path = added
        .body
        .split("value=\"")
        .filter_map(|part| part.split('"').next())
        .find_map(|value| value.find("/staff/set-password/").map(|at| value[at..].to_owned()));
    let path = path.expect("the link is shown");
    assert!(!admin.get("/staff/people").await.body.contains("/staff/set-password/"), "and not again");
    assert_eq!(admin.post("/staff/people", &wish).await.status, 422, "one account for an address");
    let berg = house.visitor();
    berg.post(&path, &[("name", "T. Berg"), ("password", PASSWORD)]).await;
    assert_eq!(berg.get("/staff/people").await.status, 403);

    let address = Address::parse("t.berg@example.org").unwrap();
    let (id, _) = store::account(&house.app.db, &house.app.keys, &address).await.unwrap().unwrap();
    admin.post(&format!("/staff/people/{id}/role"), &[("role", "admin")]).await;
    assert_eq!(berg.get("/staff/people").await.status, 200, "from the next click on");
    let reset = admin.post(&format!("/staff/people/{id}/reset"), &[]).await;
    assert!(reset.body.contains("/staff/set-password/"));
    assert_eq!(berg.get("/staff").await.status, 303, "a reset ends sessions");
    assert_eq!(sign_in(&berg, "t.berg@example.org", PASSWORD).await.status, 422, "and the password");
    admin.post(&format!("/staff/people/{id}/remove"), &[]).await;
    assert!(store::account(&house.app.db, &house.app.keys, &address).await.unwrap().is_none());
    let log = admin.get("/staff/log").await.body;
    for sentence in [
        "let in T. Berg as editor",
        "changed the role of T. Berg from editor to admin",
        "removed T. Berg",
        "T. Berg chose a new password",
    ] {
        assert!(log.contains(sentence), "{sentence}: {log}");
    }
});

story!(the_last_admin_stays, async |house: House| {
    let admin = house.staff(Role::Admin).await;
    let (id,): (i64,) = house.app.db.read("SELECT id FROM staff WHERE role = 'admin'").one().await.unwrap();
    for deed in ["remove", "role"] {
        let answer = admin.post(&format!("/staff/people/{id}/{deed}"), &[("role", "editor")]).await;
        assert_eq!(location(&answer), "/staff/people?done=last");
    }
    assert_eq!(admin.get("/staff/people").await.status, 200);
});

story!(the_log_tells_each_what_is_theirs_to_know, async |house: House| {
    let id = account(&house, MAIL, Role::Editor).await;
    let now = house.app.clock.now();
    let mut tx = house.app.db.begin().await.unwrap();
    store::record(&mut tx, Actor::Person(id), now, "issue.send", "issue 42").await.unwrap();
    store::record(&mut tx, Actor::Friday, now, "support.reconcile", "equal").await.unwrap();
    tx.commit().await.unwrap();
    let mut seen = Vec::new();
    for role in [Role::Editor, Role::Finance, Role::Admin] {
        let log = house.staff(role).await.get("/staff/log").await.body;
        seen.push([log.contains("issue 42"), log.contains("equal"), log.contains("let in")]);
    }
    assert_eq!(seen, [[true, false, false], [true, true, false], [true, true, true]]);
});

story!(a_second_factor_is_asked_for_and_each_code_serves_once, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    let visitor = house.visitor();
    sign_in(&visitor, MAIL, PASSWORD).await;
    let set_up = visitor.post("/staff/you/factor", &[]).await.body;
    let value = |body: &str, name: &str| {
        let at = body.find(&format!("name=\"{name}\" value=\"")).expect(name);
        body[at..].split('"').nth(3).unwrap().to_owned()
    };
    let key = set_up.split("<code>").nth(1).unwrap().split('<').next().unwrap().replace(' ', "");
    let code = || code(&key, house.app.clock.now().seconds());
    let token = value(&set_up, "token");
    let wrong = visitor.post("/staff/you/factor/on", &[("token", &token), ("code", "000000")]).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(sign_in(&house.visitor(), MAIL, PASSWORD).await.status, 303, "nothing is changed until the first code");
    assert_eq!(visitor.post("/staff/you/factor/on", &[("token", &token), ("code", &code())]).await.status, 303);

    let later = house.visitor();
    let half_way = sign_in(&later, MAIL, PASSWORD).await;
    assert_eq!(half_way.status, 200);
    assert_eq!(later.get("/staff").await.status, 303, "the password alone is not enough");
    let half_way = value(&half_way.body, "half_way");
    let used = later.post("/staff/sign-in/code", &[("half_way", &half_way), ("code", &code())]).await;
    assert_eq!(used.status, 422, "the code of the set-up was used");
    house.clock().advance(Duration::from_secs(30));
    let fresh = code();
    assert_eq!(later.post("/staff/sign-in/code", &[("half_way", &half_way), ("code", &fresh)]).await.status, 303);
    assert_eq!(later.get("/staff").await.status, 200);
    let again = house.visitor().post("/staff/sign-in/code", &[("half_way", &half_way), ("code", &fresh)]).await;
    assert_eq!(again.status, 422);
    house.clock().advance(10 * MINUTE);
    let late = house.visitor().post("/staff/sign-in/code", &[("half_way", &half_way), ("code", &code())]).await;
    assert_eq!(location(&late), "/staff/sign-in?next=%2Fstaff", "ten minutes after the password, from the beginning");
});

/// The app's side of RFC 6238.
fn code(key: &str, seconds: i64) -> String {
    use hmac::{Hmac, KeyInit, Mac};
    let secret = data_encoding::BASE32_NOPAD.decode(key.as_bytes()).unwrap();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(&secret).unwrap();
    mac.update(&(seconds / 30).to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let cut = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", cut % 1_000_000)
}

story!(one_changes_ones_password_and_is_signed_out_elsewhere, async |house: House| {
    account(&house, MAIL, Role::Editor).await;
    let (here, there) = (house.visitor(), house.visitor());
    sign_in(&here, MAIL, PASSWORD).await;
    sign_in(&there, MAIL, PASSWORD).await;
    let new = "seven herrings in a hat";
    let wrong = here.post("/staff/you/password", &[("current", "not this one at all"), ("password", new)]).await;
    assert_eq!(wrong.status, 422);
    assert_eq!(here.post("/staff/you/password", &[("current", PASSWORD), ("password", new)]).await.status, 303);
    assert_eq!((here.get("/staff").await.status, there.get("/staff").await.status), (200, 303));
    assert_eq!(sign_in(&there, MAIL, PASSWORD).await.status, 422);
    assert_eq!(sign_in(&there, MAIL, new).await.status, 303);
});

story!(nothing_that_is_stored_of_staff_can_be_read, async |house: House| {
    account(&house, MAIL, Role::Admin).await;
    sign_in(&house.visitor(), "somebody.else@example.org", "wrong wrong wrong").await;
    type Sealed = (Vec<u8>, Vec<u8>, Vec<u8>, String);
    let staff: Vec<Sealed> = house
        .app
        .db
        .read("SELECT address_sealed, address_index, name_sealed, password FROM staff")
        .all()
        .await
        .unwrap();
    let log: Vec<(String, String)> = house.app.db.read("SELECT action, object FROM staff_log").all().await.unwrap();
    let attempts: Vec<(Vec<u8>,)> = house.app.db.read("SELECT mark FROM staff_attempts").all().await.unwrap();
    assert!(attempts.len() >= 2);
    let everything = format!("{staff:?}{log:?}{attempts:?}");
    let mut bytes: Vec<u8> = staff.iter().flat_map(|(a, b, c, _)| [a, b, c]).flatten().copied().collect();
    bytes.extend(everything.bytes());
    for name in ["m.orlova", "M. Orlova", "example.org", "somebody", PASSWORD] {
        assert!(!bytes.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name.as_bytes())), "{name}");
    }
    assert!(staff[0].3.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
});

story!(the_desk_says_how_this_friday_stands, async |house: House| {
    let editor = house.staff(Role::Editor).await;
    let desk = editor.get("/staff").await;
    assert_eq!(desk.status, 200, "{}", desk.body);
    for part in ["Your first Friday", "To begin", "Not begun", "data-until=", "clock.js", "nobody yet"] {
        assert!(desk.body.contains(part), "{part}: {}", desk.body);
    }
    assert!(!desk.body.contains("gifts"), "giving is not an editor's");
    assert!(house.staff(Role::Finance).await.get("/staff").await.body.contains("gifts"));
});

story!(the_desk_shows_what_is_missing_and_how_the_last_one_went, async |house: House| {
    let now = house.app.clock.now();
    for sql in [
        "INSERT INTO issues (id, newsletter, number, state, subject, preheader, introduction, frozen_at, finished_at, changed_at)
         VALUES (1, 'weekly', 41, 'sent', 'A long winter', '', '', $1, $1, $1)",
        "INSERT INTO issues (id, newsletter, state, subject, preheader, introduction, changed_at)
         VALUES (2, 'weekly', 'draft', 'Budapest, again', '', '', $1)",
        "INSERT INTO delivery_runs (issue_id, newsletter, language, started_at, gathered_to, readers, sent, failed, skipped, deferred, uncertain)
         VALUES (1, 'weekly', 'en', $1, 0, 1950, 1931, 12, 7, 0, 0)",
    ] {
        house.app.db.write(sql).bind(now).execute().await.unwrap();
    }
    for sql in [
        "INSERT INTO issue_entries (issue_id, position, article_id, section) VALUES (1, 0, 5, 'News')",
        "INSERT INTO issue_entries (issue_id, position, article_id, section) VALUES (2, 0, 5, 'News'), (2, 1, 6, 'Opinion')",
        "INSERT INTO support_gifts (id, subscription_id, frequency, currency, amount, language, state, started_at)
         VALUES (1, 'sub_1', 'monthly', 'USD', 500, 'en', 'active', 0), (2, 'sub_2', 'monthly', 'USD', 1000, 'en', 'failing', 0)",
    ] {
        house.app.db.write(sql).execute().await.unwrap();
    }
    let desk = house.staff(Role::Publisher).await.get("/staff").await;
    assert_eq!(desk.status, 200, "{}", desk.body);
    for part in [
        "Budapest, again",
        "No. 42",
        "Draft",
        "2 articles in 2 sections",
        "Not scheduled",
        "1 article was in an earlier issue",
        "No test sent yet",
        "No postal address",
        "No. 41: A long winter",
        "1,931 mails accepted",
        "12 mails refused",
        "7 readers who had gone meanwhile",
    ] {
        assert!(desk.body.contains(part), "{part}: {}", desk.body);
    }
    assert!(!desk.body.contains("To begin"));
});
