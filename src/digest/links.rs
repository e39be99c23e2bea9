//! The links of an issue, and whether they answer.
//!
//! Every distinct link that a reader could follow is asked once, as a reader's browser would ask it. Hosts of a private
//! network are not asked (see [`crate::articles::fetch`]): a link that leads there leads readers nowhere.

use crate::app::App;
use crate::articles::fetch::{FetchError, Fetcher};
use crate::digest::proof::Proof;
use crate::digest::render::RenderError;
use crate::digest::{PREFERENCES_MARK, UNSUBSCRIBE_MARK, body};
use crate::finding::State;
use crate::subscribers::Edition;
use crate::words::Language;
use reqwest::{StatusCode, Url};
use serde::Serialize;
use std::time::Duration;

/// How long a link may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// Where it leads.
    pub url: String,
    /// How that is.
    pub state: State,
    /// The same in one sentence.
    pub says: String,
}

/// Every link of an issue, each once, in the order of the mail. A reader's own links are none of them, and neither is the
/// issue's page on the web, which is there from the send on.
pub fn of(proof: &Proof, base_url: &str) -> Result<Vec<String>, RenderError> {
    let issue = &proof.issue;
    let web = issue.number.map(|number| format!("{base_url}/newsletters/{}/issues/{number}", issue.newsletter));
    let mut links: Vec<String> = Vec::new();
    for edition in [Edition::Full, Edition::Links] {
        for language in Language::ALL {
            let html = proof.edition(edition, language, true)?.html.unwrap_or_default();
            for link in tags(&html, "a").filter_map(|tag| body::attribute(tag, "href")) {
                let link = link.split('#').next().unwrap_or_default();
                let own = [UNSUBSCRIBE_MARK, PREFERENCES_MARK].contains(&link) || web.as_deref() == Some(link);
                if !own && link.starts_with("http") && !links.iter().any(|known| known == link) {
                    links.push(link.to_owned());
                }
            }
        }
    }
    Ok(links)
}

/// The pictures of a rendered edition: how many, and how many of them have no description.
pub fn pictures(html: &str) -> (usize, usize) {
    let described = |tag: &&str| body::attribute(tag, "alt").is_some_and(|alt| !alt.trim().is_empty());
    let all = tags(html, "img").count();
    (all, all - tags(html, "img").filter(described).count())
}

/// What stands in each tag of a name. Our own markup has no `>` in an attribute.
fn tags<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let begin = format!("<{name} ");
    let starts: Vec<usize> = html.match_indices(&begin).map(|(at, begin)| at + begin.len()).collect();
    starts.into_iter().map(|at| html[at..].split('>').next().unwrap_or_default())
}

/// Asks one.
pub async fn ask(app: &App, fetcher: &Fetcher, link: String) -> Link {
    let answer = match Url::parse(&link) {
        Ok(url) => fetcher.try_link(&url, PATIENCE).await,
        Err(_) => Err(FetchError::Address("This is not an address.")),
    };
    let (state, says) = match answer {
        Ok(status) => judged(status),
        Err(FetchError::Private) if link.starts_with(&app.config.base_url) => {
            (State::Warn, "A page of this site, which only this machine can reach.".to_owned())
        }
        Err(FetchError::TooSlow) => (State::Warn, format!("It did not answer within {} seconds.", PATIENCE.as_secs())),
        Err(error) => (State::Bad, error.to_string()),
    };
    Link { url: link, state, says }
}

/// A host that turns a program away may well let a reader in, so that is no proof of a broken link.
fn judged(status: StatusCode) -> (State, String) {
    match status.as_u16() {
        200..=299 => (State::Ok, format!("It answers, {}.", status.as_u16())),
        401 | 403 | 405 | 406 | 429 | 451 | 999 => {
            (State::Warn, format!("The host turns Friday away, {}; look with a browser.", status.as_u16()))
        }
        _ => (State::Bad, format!("The host answers with an error, {status}.")),
    }
}

/// What asks for the links of an issue, as the settings allow.
pub fn fetcher(app: &App) -> Result<Fetcher, FetchError> {
    Fetcher::new(app.config.fetch_private)
        .map_err(|_| FetchError::Address("This machine cannot ask other hosts: it has no certificates to trust."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_without_a_description_are_counted() {
        assert_eq!(pictures("<p>no picture, <imgx></p>"), (0, 0));
        assert_eq!(pictures("<img src=\"a\" alt=\"A bridge\"><img src=\"b\" alt=\" \"><img src=\"c\">"), (3, 2));
    }

    #[test]
    fn who_turns_a_program_away_is_not_called_broken() {
        let state = |code| judged(StatusCode::from_u16(code).unwrap()).0;
        assert_eq!([200, 403, 429, 404, 410, 500, 304].map(state), {
            use State::*;
            [Ok, Warn, Warn, Bad, Bad, Bad, Bad]
        });
    }
}
