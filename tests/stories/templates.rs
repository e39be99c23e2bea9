//! What templates ask for is there: every text in the catalogue, every style and script at its address.

use crate::house::House;
use friday::words::{Language, Words};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Functions that look a text up by its key, as templates and handlers call them.
const LOOK_UPS: [&str; 7] = ["say(\"", "say1(\"", "say_n(\"", "say_with(\"", "html(\"", "link(\"", "words(\""];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

/// Every text in quotes that follows one of `before`, with the file it stands in.
fn quoted_after(before: &[&str]) -> BTreeSet<(String, String)> {
    let mut all = Vec::new();
    files(Path::new("src"), &mut all);
    files(Path::new("email_templates"), &mut all);
    let mut found = BTreeSet::new();
    for path in all.iter().filter(|p| matches!(p.extension().and_then(|e| e.to_str()), Some("rs" | "html" | "txt"))) {
        let text = std::fs::read_to_string(path).unwrap();
        // Unit tests and examples in comments may ask for what is not there.
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for lead in before {
            for (at, _) in text.match_indices(lead) {
                let quoted = text[at + lead.len()..].split('"').next().unwrap_or_default();
                found.insert((quoted.to_owned(), path.display().to_string()));
            }
        }
    }
    found
}

#[test]
fn every_text_that_is_asked_for_is_in_the_catalogue() {
    let known: BTreeSet<String> = Words::keys(Language::En).into_iter().collect();
    let rooms =
        ["subscribers-", "digest-", "support-", "delivery-", "error-", "nav-", "foot-", "skip", "month-", "weekday-"];
    let is_key = |text: &str| rooms.iter().any(|room| text.starts_with(room)) && !text.contains([' ', '{', '/']);
    let asked = quoted_after(&LOOK_UPS);
    assert!(asked.iter().filter(|(key, _)| is_key(key)).count() > 100, "the search finds them");
    let missing: Vec<_> = asked.into_iter().filter(|(key, _)| is_key(key) && !known.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn every_style_and_script_that_is_asked_for_is_served() {
    let house = House::sqlite().await;
    let asked = quoted_after(&["asset(\""]);
    assert!(asked.len() > 5, "the search finds them");
    for (name, file) in asked {
        let page = house.get(&format!("/assets/{name}")).await;
        assert_eq!(page.status, 200, "{name} of {file}");
        assert!(page.headers["cache-control"].to_str().unwrap().contains("immutable"));
    }
}
