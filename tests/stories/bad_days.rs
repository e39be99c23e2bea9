//! What goes wrong outside of Friday gets one clear sentence, and loses nothing.

use crate::house::{House, story};
use friday::app::App;
use friday::config::Config;
use friday::keys::Keys;
use std::process::{Command, Output};

fn friday(house: &House, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_friday"));
    command
        .current_dir(house.folder.path())
        .arg("migrate")
        .env("FRIDAY_DATABASE_URL", house.database_url())
        .env("FRIDAY_KEY_FILE", &house.app.config.key_file)
        .envs(variables.iter().copied());
    command.output().unwrap()
}

/// The sentence on standard error of a command that failed.
fn sentence(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

story!(settings_that_cannot_work_are_said_in_one_sentence_each, async |house: House| {
    let said = sentence(&friday(&house, &[("FRIDAY_DATABASE_URL", "mysql://localhost/x")]));
    assert_eq!(
        said,
        "friday: FRIDAY_DATABASE_URL: the scheme \"mysql\" is not known; use sqlite:PATH or postgres://…\n"
    );
    let said = sentence(&friday(&house, &[("FRIDAY_LISTEN", "everywhere")]));
    assert!(said.contains("FRIDAY_LISTEN: \"everywhere\" is not an address and a port"), "{said}");
    let said = sentence(&friday(&house, &[("FRIDAY_NEWSROOM", "nowhere.toml")]));
    assert!(said.contains("nowhere.toml"), "{said}");
    assert!(friday(&house, &[]).status.success(), "with the right ones it works");
});

story!(another_key_is_refused_before_anything_is_written_with_it, async |house: House| {
    house.reader("anna@example.org", "weekly").await;
    let other = house.folder.path().join("other.key");
    Keys::open_or_create(&other).unwrap();
    let said = sentence(&friday(&house, &[("FRIDAY_KEY_FILE", other.to_str().unwrap())]));
    assert!(said.contains("the key file does not belong to this database"), "{said}");
    std::fs::write(&other, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let said = sentence(&friday(&house, &[("FRIDAY_KEY_FILE", other.to_str().unwrap())]));
    assert!(said.contains("is not a key of Friday's"), "{said}");
    let config = Config { key_file: house.app.config.key_file.clone(), ..house.app.config.clone() };
    let again = App::open(config, house.app.clock.clone()).await.unwrap();
    let (sealed, id): (Vec<u8>, i64) = again.db.read("SELECT address_sealed, id FROM subscribers").one().await.unwrap();
    assert_eq!(friday::subscribers::open_address(&again.keys, id, &sealed).unwrap().as_str(), "anna@example.org");
});

/// SQLite alone: a page limit of its own is what a full disk looks like to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_answers_with_a_page_and_loses_nothing() {
    let house = House::sqlite().await;
    house.reader("anna@example.org", "weekly").await;
    let (pages,): (i64,) = house.db().read("PRAGMA page_count").one().await.unwrap();
    house.db().write("PRAGMA max_page_count = 1").execute().await.unwrap();
    let mut refused = 0;
    for n in 0..200 {
        let email = format!("reader-{n}@example.org");
        let page = house.post("/newsletters/weekly/subscribe", &[("email", &email)]).await;
        match page.status {
            202 => {}
            500 => {
                refused += 1;
                assert!(page.body.contains("Nothing that you had done before is lost"), "{}", page.body);
                assert!(!page.body.contains("reader-") && !page.body.to_lowercase().contains("sqlite"));
            }
            other => panic!("{other}: {}", page.body),
        }
    }
    assert!(refused > 0, "the disk was full at last, after {pages} pages");
    house.db().write("PRAGMA max_page_count = 1000000").execute().await.unwrap();
    let waiting = house.count("SELECT COUNT(*) FROM outbox WHERE state = 'waiting'").await;
    assert_eq!(waiting, 200 - refused, "what was answered with yes is there, and nothing else");
    house.work().await;
    assert_eq!(house.mails().len() as i64, 2 + waiting, "and Anna's confirmation, and her welcome");
    assert_eq!(house.count("SELECT COUNT(*) FROM subscribers").await, 1);
}
