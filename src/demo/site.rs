//! The demo newsroom's own site: what Friday reads its feeds from, and where headlines lead.
//!
//! The two feeds are files in this folder. They are filled in when they are served: `{site}` is this site's address,
//! `{hours:N}` the time N hours ago, so that the week is always this week.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use crate::clock::{Clock, Moment};

const FEEDS: [(&str, &str); 2] = [("en", include_str!("feed.xml")), ("ru", include_str!("feed.ru.xml"))];

/// The site, with Friday's address, from which its pages take the sign-up form.
#[derive(Debug, Clone)]
pub struct Site {
    /// Host and port of this site.
    pub site: String,
    /// Friday's address, without a slash at the end.
    pub friday: String,
    /// The time that the feeds are dated by.
    pub clock: Clock,
}

struct Story {
    slug: String,
    language: &'static str,
    section: String,
    title: String,
    author: String,
    lede: String,
    html: String,
}

#[derive(Template)]
#[template(path = "demo/pages/front.html")]
struct Front<'p> {
    friday: &'p str,
    stories: Vec<Story>,
}

#[derive(Template)]
#[template(path = "demo/pages/story.html")]
struct StoryPage<'p> {
    friday: &'p str,
    story: Story,
}

#[derive(Template)]
#[template(path = "demo/pages/privacy.html")]
struct PrivacyPage;

/// The routes of the site.
pub fn routes(site: Site) -> Router {
    Router::new()
        .route("/", get(|site| front(site, "en")))
        .route("/ru", get(|site| front(site, "ru")))
        .route("/feed.xml", get(|site| feed(site, 0)))
        .route("/feed.ru.xml", get(|site| feed(site, 1)))
        .route("/articles/{slug}", get(story))
        .route("/privacy", get(async || page(&PrivacyPage)))
        .route("/site.css", get(async || ([(header::CONTENT_TYPE, "text/css")], include_str!("pages/site.css"))))
        .with_state(Arc::new(site))
}

async fn front(State(site): State<Arc<Site>>, language: &'static str) -> Response {
    let mut stories = site.stories();
    stories.retain(|story| story.language == language);
    page(&Front { friday: &site.friday, stories })
}

async fn feed(State(site): State<Arc<Site>>, nth: usize) -> Response {
    ([(header::CONTENT_TYPE, "application/rss+xml; charset=utf-8")], site.filled(FEEDS[nth].1)).into_response()
}

async fn story(State(site): State<Arc<Site>>, Path(slug): Path<String>) -> Response {
    match site.stories().into_iter().find(|story| story.slug == slug) {
        Some(story) => page(&StoryPage { friday: &site.friday, story }),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Site {
    fn stories(&self) -> Vec<Story> {
        FEEDS.iter().flat_map(|(language, text)| self.stories_of(language, text)).collect()
    }

    fn stories_of(&self, language: &'static str, text: &str) -> Vec<Story> {
        let filled = self.filled(text);
        // OK because the feeds are part of the program, and a test reads them.
        let feed = feed_rs::parser::parse(filled.as_bytes()).expect("a feed");
        feed.entries
            .into_iter()
            .map(|entry| Story {
                slug: entry.id.rsplit(':').next().unwrap_or_default().to_owned(),
                language,
                section: entry.categories.first().map(|category| category.term.clone()).unwrap_or_default(),
                title: entry.title.map(|title| title.content).unwrap_or_default(),
                author: entry.authors.first().and_then(|author| author.name.clone()).unwrap_or_default(),
                lede: entry.summary.map(|summary| summary.content).unwrap_or_default(),
                html: entry.content.and_then(|content| content.body).unwrap_or_default(),
            })
            .collect()
    }

    /// A text with its gaps filled.
    fn filled(&self, text: &str) -> String {
        fill(text, &self.site, self.clock.now())
    }
}

/// Fills in `{site}` and `{hours:N}`.
pub fn fill(text: &str, site: &str, now: Moment) -> String {
    let text = text.replace("{site}", site);
    let mut parts = text.split("{hours:");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hours, rest) = part.split_once('}').unwrap_or(("0", part));
        let at = now - Duration::from_secs(3600 * hours.parse::<u64>().unwrap_or(0));
        filled.push_str(&at.to_jiff().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string());
        filled.push_str(rest);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_feeds_are_full_articles_of_every_section() {
        let now = Moment::from_millis(1_769_850_000_000);
        let site = Site { site: "127.0.0.1:1".to_owned(), friday: String::new(), clock: Clock::fixed(now) };
        let stories = site.stories();
        assert_eq!(stories.len(), 19);
        for story in &stories {
            assert!(!story.slug.is_empty() && !story.author.is_empty() && !story.lede.is_empty(), "{}", story.title);
            assert!(story.html.len() > 400, "{}", story.title);
        }
        for section in ["News", "Features", "Analysis", "Opinion", "Photos"] {
            assert!(stories.iter().any(|story| story.section == section), "{section}");
        }
        assert!(site.filled(FEEDS[0].1).contains("<pubDate>Sat, 31 Jan 2026 05:00:00 +0000</pubDate>"));
    }
}
