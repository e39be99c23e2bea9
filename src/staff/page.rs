//! What every staff page has around it: who is here, where they can go, and what there is to tell them.

use super::{Desk, Role};
use crate::web;

/// The frame of a staff page: the field `desk` of every template that extends `staff/pages/layout.html`.
#[derive(Clone, Debug)]
pub struct DeskPage {
    /// Who is here.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The entry of the navigation that is open: one of `SECTIONS`' names, or `you`.
    pub section: &'static str,
    /// Messages above the page: what was done, or what is wrong.
    pub notes: Vec<Note>,
}

/// A message above a page.
#[derive(Clone, Debug)]
pub struct Note {
    /// The class that gives it its colour: empty, `is-good`, `is-warn` or `is-bad`.
    pub tone: &'static str,
    /// What it says.
    pub text: String,
}

/// An entry of the navigation.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it leads.
    pub href: &'static str,
    /// What it says.
    pub title: &'static str,
    /// Whether it is the page that is open.
    pub current: bool,
}

/// Name, title, path and the role it takes (none: anybody who works here).
const SECTIONS: [(&str, &str, &str, Option<Role>); 8] = [
    ("desk", "Desk", "/staff", None),
    ("issue", "Issues", "/staff/issues", Some(Role::Editor)),
    ("feeds", "Feeds", "/staff/feeds", Some(Role::Editor)),
    ("delivery", "Delivery", "/staff/delivery", Some(Role::Editor)),
    ("readers", "Readers", "/staff/readers", None),
    ("giving", "Giving", "/staff/giving", Some(Role::Finance)),
    ("people", "People", "/staff/people", Some(Role::Admin)),
    ("log", "Log", "/staff/log", None),
];

impl DeskPage {
    /// The frame for this person's page in a section of the navigation.
    pub fn new(desk: &Desk, section: &'static str) -> DeskPage {
        DeskPage { name: desk.name.clone(), role: desk.role, section, notes: Vec::new() }
    }

    /// With a message that something was done.
    pub fn good(self, text: impl Into<String>) -> DeskPage {
        self.note("is-good", text)
    }

    /// With a message to look at something.
    pub fn warn(self, text: impl Into<String>) -> DeskPage {
        self.note("is-warn", text)
    }

    /// With a message that something is wrong.
    pub fn bad(self, text: impl Into<String>) -> DeskPage {
        self.note("is-bad", text)
    }

    fn note(mut self, tone: &'static str, text: impl Into<String>) -> DeskPage {
        self.notes.push(Note { tone, text: text.into() });
        self
    }

    /// The navigation, without what this person's role may not use.
    pub fn entries(&self) -> Vec<Entry> {
        let open = SECTIONS.iter().filter(|(.., needed)| needed.is_none_or(|needed| self.role.covers(needed)));
        open.map(|&(name, title, href, _)| Entry { href, title, current: name == self.section }).collect()
    }

    /// The address of a style or script.
    pub fn asset(&self, name: &str) -> String {
        web::asset(name)
    }

    /// Whether this person may do what a role may, for templates.
    pub fn may(&self, role: &str) -> bool {
        Role::parse(role).is_some_and(|role| self.role.covers(role))
    }
}
