//! The parameters of a request: `a[b][0][c]=d` read into a tree and held against what the endpoint takes.
//!
//! Stripe refuses a parameter it does not know, and so does this: a misspelt name must fail here, not in front of a
//! reader. What an endpoint takes is written as lines of `path kind`, for example
//!
//! ```text
//! line_items[].price_data.currency! currency     (`!`: required where its parent is given)
//! subscription_data.metadata map
//! description str?                               (`?`: an empty value unsets it)
//! pause_collection.behavior! keep_as_draft|mark_uncollectible|void
//! ```

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::error::Error;

/// A tree of parameters as they were sent. Lists are branches with numbers for names.
#[derive(Debug, Clone)]
enum Node {
    Leaf(String),
    Branch(BTreeMap<String, Node>),
}

/// What may stand at one place.
#[derive(Debug)]
struct Rule {
    kind: Kind,
    required: bool,
    can_unset: bool,
}

#[derive(Debug)]
enum Kind {
    Text,
    Integer,
    Flag,
    Currency,
    Email,
    Url,
    /// One of these words.
    Word(Vec<&'static str>),
    /// Names and values of the caller's own: metadata.
    Map,
    /// A point in time, or a range of them with `gt`, `gte`, `lt`, `lte`.
    Range,
    List(Box<Rule>),
    Object(BTreeMap<&'static str, Rule>),
}

/// Parameters that were found to be good: numbers are numbers, flags are flags, what was unset is null.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Params(Value);

impl Params {
    /// Reads a form or a query and checks it against the rules.
    pub fn read(encoded: &str, takes: &[&'static str]) -> Result<Params, Error> {
        let rules = rules(takes);
        let tree = tree(encoded)?;
        let Kind::Object(fields) = &rules.kind else { unreachable!("the root of the rules is an object") };
        let mut unknown = Vec::new();
        find_unknown(&tree, fields, "", &mut unknown);
        if !unknown.is_empty() {
            return Err(Error::unknown_parameters(&unknown));
        }
        Ok(Params(check(&Node::Branch(tree), &rules, "")?))
    }

    /// The value at a path of names, `a.b.c`; none where it was not given or was unset.
    pub fn get(&self, path: &str) -> Option<&Value> {
        let mut at = &self.0;
        for name in path.split('.') {
            at = at.get(name)?;
        }
        (!at.is_null()).then_some(at)
    }

    /// Whether something was given here, an empty value included.
    pub fn has(&self, path: &str) -> bool {
        let mut at = Some(&self.0);
        for name in path.split('.') {
            at = at.and_then(|v| v.get(name));
        }
        at.is_some()
    }

    /// A text, or a word of a list of words.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// A whole number.
    pub fn integer(&self, path: &str) -> Option<i64> {
        self.get(path)?.as_i64()
    }

    /// A flag; false where it was not given.
    pub fn flag(&self, path: &str) -> bool {
        self.get(path).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The elements of a list, each with everything that may be asked of parameters.
    pub fn list(&self, path: &str) -> Vec<Params> {
        self.get(path)
            .and_then(Value::as_array)
            .map(|all| all.iter().cloned().map(Params).collect())
            .unwrap_or_default()
    }

    /// The texts of a list of texts.
    pub fn texts(&self, path: &str) -> Vec<String> {
        let all = self.get(path).and_then(Value::as_array);
        all.into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
    }

    /// The value at a path, or null: for a field that is handed back as it came.
    pub fn value(&self, path: &str) -> Value {
        self.get(path).cloned().unwrap_or(Value::Null)
    }

    /// The same parameters, one level further in.
    pub fn under(&self, name: &str) -> Params {
        Params(json!({ name: self.0 }))
    }

    /// Metadata laid over what was there: an empty value takes a name away, an empty `metadata` all of them.
    pub fn metadata_over(&self, path: &str, before: &Value) -> Value {
        let mut all = before.as_object().cloned().unwrap_or_default();
        if self.has(path) && self.get(path).is_none() {
            all.clear();
        }
        for (name, value) in self.get(path).and_then(Value::as_object).into_iter().flatten() {
            if value == "" {
                all.remove(name);
            } else {
                all.insert(name.clone(), value.clone());
            }
        }
        Value::Object(all)
    }
}

/// Splits an encoded form into its tree.
fn tree(encoded: &str) -> Result<BTreeMap<String, Node>, Error> {
    let mut root = BTreeMap::new();
    for (name, value) in pairs(encoded) {
        let path = path(&name).ok_or_else(|| Error::bad(&name, format!("Invalid parameter name: {name}")))?;
        insert(&mut root, &path, value).ok_or_else(|| Error::bad(&name, format!("Invalid value type for {name}")))?;
    }
    Ok(root)
}

/// The pairs of an `application/x-www-form-urlencoded` text.
fn pairs(encoded: &str) -> Vec<(String, String)> {
    let Ok(mut url) = reqwest::Url::parse("http://localhost/") else {
        return Vec::new();
    };
    url.set_query(Some(encoded));
    url.query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// `a[b][]` as its names: `a`, `b` and an empty one.
fn path(name: &str) -> Option<Vec<String>> {
    let (first, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
    let mut names = vec![first.to_owned()];
    let mut rest = rest;
    while !rest.is_empty() {
        let (inner, after) = rest.strip_prefix('[')?.split_once(']')?;
        names.push(inner.to_owned());
        rest = after;
    }
    (!first.is_empty()).then_some(names)
}

fn insert(branch: &mut BTreeMap<String, Node>, path: &[String], value: String) -> Option<()> {
    let (first, rest) = path.split_first()?;
    let name = if first.is_empty() { branch.len().to_string() } else { first.clone() };
    if rest.is_empty() {
        branch.insert(name, Node::Leaf(value));
        return Some(());
    }
    let next = branch.entry(name).or_insert_with(|| Node::Branch(BTreeMap::new()));
    match next {
        Node::Branch(next) => insert(next, rest, value),
        Node::Leaf(_) => None,
    }
}

/// The rules of lines of `path kind`, every endpoint's own `expand` added.
fn rules(takes: &[&'static str]) -> Rule {
    let mut root = object();
    for line in takes.iter().flat_map(|block| block.lines()).chain(["expand[] str"]) {
        let line = line.trim_ascii();
        if !line.is_empty() {
            // OK because the lines are constants, and a test reads every one of them.
            let (path, kind) = line.split_once(' ').expect("a path and a kind");
            add(&mut root, path, kind.trim_ascii());
        }
    }
    root
}

fn object() -> Rule {
    Rule { kind: Kind::Object(BTreeMap::new()), required: false, can_unset: true }
}

fn add(parent: &mut Rule, path: &'static str, kind: &'static str) {
    let Kind::Object(fields) = &mut parent.kind else { panic!("{path}: below something that is no object") };
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let (name, required) = name.strip_suffix('!').map_or((name, false), |name| (name, true));
    let (name, is_list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
    let (end, can_unset) = if rest.is_some() { (object().kind, true) } else { leaf(kind) };
    let rule = if is_list {
        let inner = Rule { kind: end, required: false, can_unset: false };
        Rule { kind: Kind::List(Box::new(inner)), required, can_unset }
    } else {
        Rule { kind: end, required, can_unset }
    };
    let child = fields.entry(name).or_insert(rule);
    child.required |= required;
    if let Some(rest) = rest {
        match &mut child.kind {
            Kind::List(inner) => add(inner, rest, kind),
            _ => add(child, rest, kind),
        }
    }
}

fn leaf(kind: &'static str) -> (Kind, bool) {
    let (kind, can_unset) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
    let kind = match kind {
        "str" => Kind::Text,
        "int" => Kind::Integer,
        "flag" => Kind::Flag,
        "currency" => Kind::Currency,
        "email" => Kind::Email,
        "url" => Kind::Url,
        "map" => return (Kind::Map, true),
        "range" => Kind::Range,
        words => Kind::Word(words.trim_start_matches('=').split('|').collect()),
    };
    (kind, can_unset)
}

/// The whole name of a parameter inside another: `a[b]`.
fn inside(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}[{name}]") }
}

fn find_unknown(branch: &BTreeMap<String, Node>, fields: &BTreeMap<&str, Rule>, parent: &str, found: &mut Vec<String>) {
    for (name, node) in branch {
        let whole = inside(parent, name);
        let Some(rule) = fields.get(name.as_str()) else {
            found.push(whole);
            continue;
        };
        let Node::Branch(inner) = node else { continue };
        match &rule.kind {
            Kind::Object(fields) => find_unknown(inner, fields, &whole, found),
            Kind::List(rule) => {
                let Kind::Object(fields) = &rule.kind else {
                    continue;
                };
                for (place, element) in inner {
                    if let Node::Branch(inner) = element {
                        find_unknown(inner, fields, &inside(&whole, place), found);
                    }
                }
            }
            _ => {}
        }
    }
}

fn check(node: &Node, rule: &Rule, name: &str) -> Result<Value, Error> {
    match (&rule.kind, node) {
        (Kind::Object(fields), Node::Branch(branch)) => check_object(branch, fields, name),
        (Kind::List(rule), Node::Branch(branch)) => {
            let mut all: Vec<_> = branch.iter().collect();
            all.sort_by_key(|(place, _)| place.parse::<usize>().unwrap_or(usize::MAX));
            all.iter().map(|(place, node)| check(node, rule, &inside(name, place))).collect()
        }
        (Kind::Map, Node::Branch(branch)) => check_map(branch, name),
        (Kind::Range, Node::Branch(branch)) => check_range(branch, name),
        (_, Node::Leaf(text)) if text.is_empty() => {
            if rule.can_unset {
                Ok(Value::Null)
            } else {
                Err(Error::empty(name))
            }
        }
        (kind, Node::Leaf(text)) => check_leaf(text, kind, name),
        (_, Node::Branch(_)) => Err(Error::bad(name, format!("Invalid value for {name}: it takes one value"))),
    }
}

fn check_object(branch: &BTreeMap<String, Node>, fields: &BTreeMap<&str, Rule>, name: &str) -> Result<Value, Error> {
    let mut all = Map::new();
    for (field, rule) in fields {
        let whole = inside(name, field);
        match branch.get(*field) {
            Some(node) => all.insert((*field).to_owned(), check(node, rule, &whole)?),
            None if rule.required => return Err(Error::missing(&whole)),
            None => None,
        };
    }
    Ok(Value::Object(all))
}

fn check_map(branch: &BTreeMap<String, Node>, name: &str) -> Result<Value, Error> {
    if branch.len() > 50 {
        return Err(Error::bad(name, "Metadata can hold at most 50 keys."));
    }
    let mut all = Map::new();
    for (key, node) in branch {
        let whole = inside(name, key);
        let Node::Leaf(value) = node else {
            return Err(Error::bad(&whole, "Metadata values must be strings."));
        };
        if key.chars().count() > 40 || value.chars().count() > 500 {
            let message = "Metadata keys can hold up to 40 characters, and values up to 500.";
            return Err(Error::bad(&whole, message));
        }
        all.insert(key.clone(), json!(value));
    }
    Ok(Value::Object(all))
}

fn check_range(branch: &BTreeMap<String, Node>, name: &str) -> Result<Value, Error> {
    let mut all = Map::new();
    for (bound, node) in branch {
        let whole = inside(name, bound);
        match (bound.as_str(), node) {
            ("gt" | "gte" | "lt" | "lte", Node::Leaf(at)) => {
                all.insert(bound.clone(), check_leaf(at, &Kind::Integer, &whole)?);
            }
            _ => return Err(Error::unknown_parameters(&[whole])),
        }
    }
    Ok(Value::Object(all))
}

fn check_leaf(text: &str, kind: &Kind, name: &str) -> Result<Value, Error> {
    match kind {
        Kind::Text if text.chars().count() > 5_000 => {
            Err(Error::bad(name, format!("Invalid string: {name} must be at most 5000 characters")))
        }
        Kind::Text => Ok(json!(text)),
        Kind::Integer | Kind::Range => {
            let number = text.parse::<i64>().map_err(|_| Error::not_an_integer(name, text))?;
            Ok(json!(number))
        }
        Kind::Flag => match text {
            "true" => Ok(json!(true)),
            "false" => Ok(json!(false)),
            _ => Err(Error::bad(name, format!("Invalid boolean: {text}"))),
        },
        Kind::Currency => check_currency(text, name),
        Kind::Email if looks_like_an_address(text) => Ok(json!(text)),
        Kind::Email => Err(Error::coded("email_invalid", name, format!("Invalid email address: {text}"))),
        Kind::Url if text.starts_with("https://") || text.starts_with("http://") => Ok(json!(text)),
        Kind::Url => Err(Error::coded("url_invalid", name, "Not a valid URL".to_owned())),
        Kind::Word(words) if words.contains(&text) => Ok(json!(text)),
        Kind::Word(words) => Err(Error::bad(name, format!("Invalid {name}: must be one of {}", words.join(", ")))),
        Kind::Map | Kind::List(_) | Kind::Object(_) => Err(Error::bad(name, "Invalid object")),
    }
}

fn check_currency(text: &str, name: &str) -> Result<Value, Error> {
    let code = text.to_ascii_lowercase();
    if super::currency::is_known(&code) {
        return Ok(json!(code));
    }
    Err(Error::bad(name, format!("Invalid currency: {code}. Stripe does not know this currency.")))
}

fn looks_like_an_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    !local.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace) && text.len() <= 512
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKES: &[&str] = &["list[].name! str\nlist[].count int\nflag flag\nnote str?\nmetadata map\ncreated range"];

    fn read(form: &str) -> Result<Params, Value> {
        Params::read(form, TAKES).map_err(|error| error.body()["error"].clone())
    }

    #[test]
    fn brackets_become_lists_and_objects() {
        let params = read("list[1][name]=b&list[0][name]=a%20%26&list[0][count]=3&flag=true&metadata[x]=1").unwrap();
        let names: Vec<_> = params.list("list").iter().map(|one| one.text("name").unwrap().to_owned()).collect();
        assert_eq!(names, ["a &", "b"]);
        assert_eq!(params.list("list")[0].integer("count"), Some(3));
        assert!(params.flag("flag") && params.value("metadata") == json!({ "x": "1" }));
        let many: Vec<String> = (0..12).map(|at| format!("list[{at}][name]=n{at}")).collect();
        assert_eq!(
            read(&many.join("&")).unwrap().list("list")[10].text("name"),
            Some("n10"),
            "by number, not by letter"
        );
    }

    #[test]
    fn an_empty_value_unsets_what_can_be_unset() {
        let params = read("note=&metadata=").unwrap();
        assert!(params.has("note") && params.get("note").is_none());
        assert_eq!(params.metadata_over("metadata", &json!({ "x": "1" })), json!({}));
        assert_eq!(read("flag=").unwrap_err()["code"], "parameter_invalid_empty");
        let params = read("metadata[x]=&metadata[y]=2").unwrap();
        assert_eq!(params.metadata_over("metadata", &json!({ "x": "1" })), json!({ "y": "2" }));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (form, parameter) in [
            ("list[0][count]=3", "list[0][name]"),
            ("list[0][name]=a&list[0][count]=x", "list[0][count]"),
            ("list[0][name]=a&list[0][nom]=b", "list[0][nom]"),
            ("created[after]=3", "created[after]"),
            ("flag[a]=true", "flag"),
            ("flag=yes", "flag"),
        ] {
            assert_eq!(read(form).unwrap_err()["param"], parameter, "{form}");
        }
    }
}
