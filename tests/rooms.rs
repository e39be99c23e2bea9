//! The house's rules, held against its source.
//!
//! `ARCHITECTURE.md` says in three tables who may use whom, what a file in a room never names, and what stands only in
//! certain files. Here those tables are read and `src` is held against them: tokens, not text, so that comments and
//! strings do not count and macros do. `migrations` say whose each table is, and only its room may write to it.
//!
//! The last tests feed the checker sources with one fault each, so that a green run means something.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Folders that are tools and no rooms.
const TOOLS: [&str; 2] = ["mail", "web"];

/// The three tables.
struct Rules {
    /// Module → the modules it may use; `None` means everything.
    arrows: BTreeMap<String, Option<Vec<String>>>,
    /// (files, names they never say).
    never: Vec<(String, Vec<String>)>,
    /// (names, the files they may stand in).
    only: Vec<(Vec<String>, Vec<String>)>,
    /// Database table → the room that writes to it.
    tables: BTreeMap<String, String>,
}

/// What one source file says.
#[derive(Default)]
struct Says {
    /// Absolute paths and where they stand: `crate::digest::store`, `axum::Router`.
    paths: Vec<(usize, String)>,
    /// Bare names.
    idents: Vec<(usize, String)>,
    /// String literals.
    strings: Vec<(usize, String)>,
    /// Lines of `.unwrap()` and `.expect(`.
    unwraps: Vec<usize>,
}

impl Rules {
    fn read(architecture: &str, migrations: &[(String, String)]) -> Rules {
        let arrows = rows(architecture, "| module | may use |")
            .map(|cells| {
                let everything = cells[1].contains("everything");
                (ticked(&cells[0]), (!everything).then(|| ticked(&cells[1])))
            })
            .flat_map(|(modules, may)| modules.into_iter().map(move |m| (m, may.clone())))
            .collect();
        let never = rows(architecture, "| file | never names |")
            .flat_map(|cells| ticked(&cells[0]).into_iter().map(move |file| (file, ticked(&cells[1]))))
            .collect();
        let only =
            rows(architecture, "| what | only in |").map(|cells| (ticked(&cells[0]), ticked(&cells[1]))).collect();
        let mut tables = BTreeMap::new();
        for (name, sql) in migrations {
            let room = name.split_once('_').map_or("", |(_, rest)| rest).trim_end_matches(".sql");
            for words in sql.split_whitespace().collect::<Vec<_>>().windows(3) {
                if words[0] == "CREATE" && words[1] == "TABLE" {
                    tables.insert(words[2].trim_end_matches('(').to_owned(), room.to_owned());
                }
            }
        }
        Rules { arrows, never, only, tables }
    }

    /// Every fault of one file, one sentence each. `path` is relative to `src`.
    fn faults(&self, path: &str, source: &str) -> Vec<String> {
        let says = match read(path, source) {
            Ok(says) => says,
            Err(error) => return vec![format!("{path}: {error}")],
        };
        let module = module_of(path);
        let mut faults = Vec::new();
        let Some(may) = self.arrows.get(module) else {
            return vec![format!("{path}: the module {module} has no row in ARCHITECTURE.md")];
        };
        for (line, name) in &says.paths {
            let used = name.strip_prefix("crate::").map(|rest| rest.split("::").next().unwrap_or(rest));
            if let (Some(used), Some(may)) = (used, may)
                && used != module
                && self.arrows.contains_key(used)
                && !may.iter().any(|m| m == used)
            {
                faults.push(format!("{path}:{line}: {module} may not use {used}"));
            }
            for (files, names) in &self.never {
                if names.iter().any(|n| stands_for(n, name)) && fits(files, path) {
                    faults.push(format!("{path}:{line}: {files} never names {name}"));
                }
            }
        }
        let idents = says.paths.iter().chain(&says.idents);
        for (line, name) in idents.filter(|(_, name)| !is_derive(name)) {
            for (names, files) in &self.only {
                if names.iter().any(|n| stands_for(n, name)) && !files.iter().any(|f| fits(f, path)) {
                    faults.push(format!("{path}:{line}: {name} stands only in {}", files.join(", ")));
                }
            }
        }
        for (line, text) in &says.strings {
            faults.extend(self.sql_faults(path, *line, text, may.is_none()));
        }
        faults.extend(unexplained(path, source, &says.unwraps));
        faults
    }

    fn sql_faults(&self, path: &str, line: usize, text: &str, knows_everything: bool) -> Vec<String> {
        let text = text.trim_start();
        if !["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "WITH "].iter().any(|verb| text.starts_with(verb)) {
            return Vec::new();
        }
        let mut faults = Vec::new();
        let sql = self.only.iter().find(|(names, _)| names.iter().any(|n| n == "SQL"));
        if let Some((_, files)) = sql.filter(|(_, files)| !files.iter().any(|f| fits(f, path))) {
            faults.push(format!("{path}:{line}: SQL stands only in {}", files.join(", ")));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        for words in words.windows(3) {
            let table = match words {
                ["INSERT", "INTO", table] | ["DELETE", "FROM", table] | ["UPDATE", table, _] => table,
                _ => continue,
            };
            let table = table.split('(').next().unwrap_or(table);
            if let Some(owner) =
                self.tables.get(table).filter(|owner| !knows_everything && owner.as_str() != module_of(path))
            {
                faults.push(format!("{path}:{line}: {table} is written to by {owner} only"));
            }
        }
        faults
    }
}

/// The rows of the table below this head, as cells.
fn rows<'a>(text: &'a str, head: &'a str) -> impl Iterator<Item = Vec<String>> + 'a {
    text.lines()
        .skip_while(move |line| *line != head)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
}

/// What stands between backticks.
fn ticked(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn module_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

/// Whether a file is meant by `*/store.rs`, `mail/outbox.rs` or `mail`. A file that grew into a folder is still meant.
fn fits(pattern: &str, path: &str) -> bool {
    match pattern.strip_prefix("*/") {
        Some(name) => path.split_once('/').filter(|(module, _)| !TOOLS.contains(module)).is_some_and(|(_, rest)| {
            let folder = rest.strip_prefix(name.trim_end_matches(".rs")).is_some_and(|more| more.starts_with('/'));
            rest == name || folder
        }),
        None if pattern.ends_with(".rs") => path == pattern,
        None => module_of(path) == pattern,
    }
}

/// Whether `axum`, `crate::db` or `async_stripe*` stands for this path.
fn stands_for(name: &str, path: &str) -> bool {
    match name.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::")),
    }
}

/// The derives by which a type becomes a column or a row: they say nothing about a database.
fn is_derive(path: &str) -> bool {
    ["sqlx::Type", "sqlx::FromRow"].contains(&path)
}

/// House rule: every `unwrap` and `expect` says on its line or the one before why it cannot fail.
fn unexplained(path: &str, source: &str, unwraps: &[usize]) -> Vec<String> {
    let lines: Vec<&str> = source.lines().collect();
    let says = |line: usize| lines.get(line.wrapping_sub(1)).is_some_and(|l| l.contains("// OK because"));
    unwraps
        .iter()
        .filter(|&&line| !says(line) && !says(line - 1))
        .map(|line| format!("{path}:{line}: unwrap or expect without \"// OK because\""))
        .collect()
}

fn read(path: &str, source: &str) -> Result<Says, String> {
    let tokens: TokenStream = source.parse().map_err(|e| format!("{e}"))?;
    let mut place: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if ["mod", "lib", "main"].contains(&place[place.len() - 1].as_str()) {
        place.pop();
    }
    let mut says = Says::default();
    walk(tokens, &place, &mut says);
    Ok(says)
}

/// Notes what these tokens say. Code under `#[cfg(test)]` may say anything: the stories are outside of the house too.
fn walk(tokens: TokenStream, place: &[String], says: &mut Says) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_cfg_test(&tokens[at..]) {
            at += 2;
            while at < tokens.len() && !ends_item(&tokens[at]) {
                at += 1;
            }
            at += 1;
            continue;
        }
        match &tokens[at] {
            TokenTree::Ident(word) if *word == "mod" => {
                if let (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) =
                    (tokens.get(at + 1), tokens.get(at + 2))
                {
                    let inner: Vec<String> = place.iter().cloned().chain([name.to_string()]).collect();
                    walk(body.stream(), &inner, says);
                    at += 2;
                }
            }
            TokenTree::Ident(word) if !is_colons(&tokens, at.wrapping_sub(2)) => {
                let line = word.span().start().line;
                if is_colons(&tokens, at + 1) {
                    path_from(&tokens[at..], &[], &mut |p| says.paths.push((line, absolute(p, place))));
                } else {
                    says.idents.push((line, word.to_string()));
                }
                let called =
                    matches!(tokens.get(at.wrapping_sub(1)), Some(TokenTree::Punct(dot)) if dot.as_char() == '.');
                if called && (*word == "unwrap" || *word == "expect") {
                    says.unwraps.push(line);
                }
            }
            TokenTree::Literal(text) => {
                says.strings.extend(string(&text.to_string()).map(|s| (text.span().start().line, s)))
            }
            TokenTree::Group(group) => walk(group.stream(), place, says),
            _ => {}
        }
        at += 1;
    }
}

fn is_cfg_test(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(hash), TokenTree::Group(group), ..]
        if hash.as_char() == '#' && group.stream().to_string().replace(' ', "") == "cfg(test)")
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Punct(p) => p.as_char() == ';',
        TokenTree::Group(g) => g.delimiter() == Delimiter::Brace,
        _ => false,
    }
}

fn is_colons(tokens: &[TokenTree], at: usize) -> bool {
    let colon = |i: usize| matches!(tokens.get(i), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    at < tokens.len() && colon(at) && colon(at + 1)
}

/// Follows `a::b::{c, d::e}` and tells each path in it.
fn path_from(tokens: &[TokenTree], before: &[String], tell: &mut dyn FnMut(&[String])) {
    let mut path = before.to_vec();
    let mut at = 0;
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace && at > 0 => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                let is_comma = |t: &TokenTree| matches!(t, TokenTree::Punct(p) if p.as_char() == ',');
                for branch in inner.split(is_comma).filter(|b| !b.is_empty()) {
                    path_from(branch, &path, tell);
                }
                return;
            }
            _ => break,
        }
        if !is_colons(tokens, at + 1) {
            break;
        }
        at += 3;
    }
    tell(&path);
}

/// `self::` and `super::` spelled out.
fn absolute(path: &[String], place: &[String]) -> String {
    let mut here = place.to_vec();
    let mut rest = path;
    let mut relative = false;
    while let Some(first) = rest.first() {
        match first.as_str() {
            "self" => {}
            "super" => {
                here.pop();
            }
            _ => break,
        }
        relative = true;
        rest = &rest[1..];
    }
    if !relative {
        return path.join("::");
    }
    let whole: Vec<&str> = ["crate"].into_iter().chain(here.iter().chain(rest).map(String::as_str)).collect();
    whole.join("::")
}

fn string(literal: &str) -> Option<String> {
    let open = literal.find('"')?;
    let close = literal.rfind('"').filter(|close| *close > open)?;
    Some(literal[open + 1..close].replace("\\n", " ").replace("\\\n", " "))
}

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn migrations() -> Vec<(String, String)> {
    files(&house().join("migrations"), "sql")
}

/// The files below a folder that end so, with paths relative to it.
fn files(folder: &Path, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for path in entries.map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn real_rules() -> Rules {
    Rules::read(&fs::read_to_string(house().join("ARCHITECTURE.md")).unwrap(), &migrations())
}

#[test]
fn the_source_keeps_to_the_table_in_architecture() {
    let rules = real_rules();
    let faults: Vec<String> =
        files(&house().join("src"), "rs").iter().flat_map(|(path, source)| rules.faults(path, source)).collect();
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_table_names_nothing_that_is_not_there() {
    let rules = real_rules();
    let sources = files(&house().join("src"), "rs");
    for module in rules.arrows.keys() {
        assert!(sources.iter().any(|(path, _)| module_of(path) == module), "{module} stands in ARCHITECTURE.md only");
    }
    for pattern in rules.only.iter().flat_map(|(_, files)| files) {
        assert!(sources.iter().any(|(path, _)| fits(pattern, path)), "no file is meant by {pattern}");
    }
}

/// Arrows, written down once more as a graph, have no circle among the rooms.
#[test]
fn there_is_no_circle_of_rooms() {
    let rules = real_rules();
    let mut left: Vec<(&String, Vec<&String>)> = rules
        .arrows
        .iter()
        .filter_map(|(module, may)| may.as_ref().map(|may| (module, may.iter().filter(|m| *m != "app").collect())))
        .collect();
    loop {
        let before = left.len();
        let names: Vec<&String> = left.iter().map(|(module, _)| *module).collect();
        left.retain(|(_, may)| may.iter().any(|m| names.contains(m)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "these go round in a circle: {left:?}");
}

const EXAMPLE: &str = "
| module | may use |
|---|---|
| `main` | everything |
| `db` `keys` | |
| `digest` | `db`, `subscribers` |
| `subscribers` | `db` |

| file | never names |
|---|---|
| `*/mod.rs` | `axum`, `crate::db` |

| what | only in |
|---|---|
| `axum` | `*/web.rs` |
| SQL (`SQL`) | `*/store.rs` |
| `async_stripe*` | `keys.rs` |
| `Sqlite` | `db.rs` |
";

fn example(path: &str, source: &str) -> Vec<String> {
    let migrations = [("0002_subscribers.sql".to_owned(), "CREATE TABLE subscribers (id BIGINT)".to_owned())];
    Rules::read(EXAMPLE, &migrations).faults(path, source)
}

#[test]
fn a_fault_of_each_kind_is_found() {
    let found = |path, source| {
        let faults = example(path, source);
        assert_eq!(faults.len(), 1, "{path}: {source}: {faults:?}");
    };
    found("subscribers/web.rs", "use crate::digest::Issue;");
    found("subscribers/web.rs", "use crate::{db, digest::{Issue, store}};".replace("Issue, store", "Issue").leak());
    found("subscribers/web.rs", "fn f() { crate::digest::send() }");
    found("subscribers/web.rs", "fn f() { tracing::info!(n = crate::digest::count()) }");
    found("subscribers/web.rs", "use super::super::digest;");
    found("subscribers/web.rs", "mod inner { use super::super::super::digest; }");
    found("db.rs", "use crate::subscribers;");
    found("subscribers/mod.rs", "use crate::db::Db;");
    found("subscribers/store.rs", "use axum::Router;");
    found("subscribers/store.rs", "async fn f() { axum::serve() }");
    found("keys.rs", "type T = Sqlite;");
    found("db.rs", "use async_stripe_core::Event;");
    found("subscribers/web.rs", r#"fn f() { db.read("SELECT 1 FROM subscribers") }"#);
    found("digest/store.rs", r#"fn f() { db.write("DELETE FROM subscribers WHERE id = $1") }"#);
    found("digest/store.rs", r#"fn f() { db.write("INSERT INTO subscribers(id) VALUES ($1)") }"#);
    found("digest/store.rs", r#"fn f() { db.write("WITH a AS (SELECT 1) UPDATE subscribers SET id = 1") }"#);
    found("elsewhere/mod.rs", "fn f() {}");
    found("db.rs", "fn f() { x.unwrap() }");
    found("db.rs", "fn f() {\n x\n .expect(\"a thing\") }");
}

#[test]
fn what_is_allowed_is_no_fault() {
    let clean = |path, source| assert_eq!(example(path, source), Vec::<String>::new(), "{path}: {source}");
    clean("digest/mod.rs", "use crate::subscribers::Edition; use super::digest::x; use self::store::y;");
    clean("digest/web.rs", "use axum::Router; // crate::keys");
    clean("digest/store.rs", r#"fn f() { db.read("SELECT 1 FROM subscribers"); db.write("UPDATE issues SET x = 1") }"#);
    clean(
        "subscribers/store.rs",
        r#"fn f() { db.write("INSERT INTO subscribers(id) VALUES ($1) ON CONFLICT DO UPDATE SET id = 1") }"#,
    );
    clean("digest/mod.rs", "#[derive(sqlx::Type)] struct S; /// see axum::Router\nfn f() { let x = \"crate::keys\"; }");
    clean("digest/mod.rs", "#[cfg(test)] mod tests { use crate::keys; fn f() { x.unwrap() } }");
    clean("db.rs", "fn f() {\n // OK because it is there.\n x.unwrap() }");
    clean("main.rs", "use crate::digest; use crate::keys;");
    clean("db.rs", "fn f(x: Sqlite) {}");
}
