//! What every page knows: its language, its newsroom, where it is. Nothing about who reads it.

use super::{FormAge, Problem, assets};
use crate::app::Shared;
use crate::newsroom::Newsroom;
use crate::words::{Language, Words};
use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::{Html, IntoResponse, Response};
use std::convert::Infallible;
use std::sync::Arc;

/// The frame of a reader's page. Every reader template has it as its field `page`.
#[derive(Clone)]
pub struct Page {
    /// The catalogue of its language.
    pub words: Words,
    /// Whose page it is.
    pub newsroom: Arc<Newsroom>,
    /// Its path, without the query.
    pub path: String,
    /// Where the same page can be asked for again: its path and query but for the language. None where it answers a form.
    again: Option<String>,
    /// Whether the address asks for a language, so that links go on asking.
    asked: bool,
    app: Shared,
}

impl FromRequestParts<Shared> for Page {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Page, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let asked = query.split('&').find_map(|p| p.strip_prefix("lang=")).and_then(Language::parse);
        let accepts = parts.headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok());
        let language =
            asked.or_else(|| accepts.and_then(Language::accepted)).unwrap_or_else(|| Page::house_language(app));
        let mut page = Page::new(app, language, parts.uri.path(), asked.is_some());
        if parts.method == Method::GET {
            let rest: Vec<&str> = query.split('&').filter(|p| !p.is_empty() && !p.starts_with("lang=")).collect();
            page = page.shown_at(&[parts.uri.path(), &rest.join("&")].join("?"));
        }
        Ok(page)
    }
}

impl Page {
    fn new(app: &Shared, language: Language, path: &str, asked: bool) -> Page {
        Page {
            words: Words::of(language),
            newsroom: app.newsroom(),
            path: path.to_owned(),
            again: None,
            asked,
            app: app.clone(),
        }
    }

    fn house_language(app: &Shared) -> Language {
        app.newsroom().newsletters.first().map_or(Language::En, |n| n.language)
    }

    /// The same page in `language`, unless its address asks for another: a Russian newsletter's page is Russian.
    #[must_use]
    pub fn speaking(mut self, language: Language) -> Page {
        if !self.asked {
            self.words = Words::of(language);
        }
        self
    }

    /// The page that answers a form, as one that can be asked for at that address.
    #[must_use]
    pub fn shown_at(mut self, address: &str) -> Page {
        self.again = Some(address.trim_end_matches('?').to_owned());
        self
    }

    /// The text of a key.
    pub fn say(&self, key: &str) -> String {
        self.words.say(key)
    }

    /// Its language's tag.
    pub fn lang(&self) -> &'static str {
        self.words.lang()
    }

    /// A link within the site that keeps the language which was asked for.
    pub fn href(&self, path: &str) -> String {
        match (self.asked, path.contains('?')) {
            (false, _) => path.to_owned(),
            (true, false) => format!("{path}?lang={}", self.lang()),
            (true, true) => format!("{path}&lang={}", self.lang()),
        }
    }

    /// Whether the address asks for a language.
    pub fn asks(&self) -> bool {
        self.asked
    }

    /// This page in each other language: tag, name, link. None for a page that cannot be asked for again.
    pub fn others(&self) -> Vec<(&'static str, &'static str, String)> {
        let other = |l: &Language| *l != self.words.language();
        let Some(again) = &self.again else { return Vec::new() };
        let join = if again.contains('?') { '&' } else { '?' };
        let link = |l: Language| (l.as_str(), l.own_name(), format!("{again}{join}lang={}", l.as_str()));
        Language::ALL.into_iter().filter(other).map(link).collect()
    }

    /// Whether the page lies at or below `path`, for the mark in the navigation.
    pub fn is_at(&self, path: &str) -> bool {
        self.path == path || self.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The address of a style or script.
    pub fn asset(&self, name: &str) -> String {
        assets::href(name)
    }

    /// The privacy policy: the newsroom's own, or ours.
    pub fn privacy(&self) -> String {
        self.newsroom.privacy_policy.clone().unwrap_or_else(|| self.href("/privacy"))
    }

    /// The archive of the first newsletter.
    pub fn archive(&self) -> String {
        let slug = self.newsroom.newsletters.first().map_or("", |n| &n.slug);
        self.href(&format!("/newsletters/{slug}/issues"))
    }

    /// The hidden field of a form, which tells its age when it comes back.
    pub fn form_token(&self) -> String {
        FormAge::token(&self.app)
    }

    /// An absolute link.
    pub fn absolute(&self, path: &str) -> String {
        self.app.config.link(path)
    }
}

/// A page from its template.
pub fn render(template: &impl Template) -> Result<Response, Problem> {
    Ok(Html(template.render()?).into_response())
}
