//! What takes long to find out before a send: whether an issue's links answer, and what the domain name system says of its
//! sender.
//!
//! That is done when somebody asks for it, beside the page, and kept in the memory of this process: it is true for an
//! hour, not for ever, and another process that has not looked says that nobody has. Each link is remembered by its
//! address, so a link that came into the issue later is not called checked.

use super::acts::ActError;
use super::letters::Hand;
use crate::app::Shared;
use crate::clock::Moment;
use crate::digest::links::{self, Link};
use crate::digest::proof::Proof;
use crate::finding::Finding;
use crate::mail::dns::Resolver;
use crate::mail::records;
use futures_util::stream::{self, StreamExt};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many links are asked at once.
const AT_ONCE: usize = 4;
/// The most links of one issue that are asked.
const LINKS: usize = 400;
/// For how many issues it is remembered what was found.
const ISSUES: usize = 20;

/// What was found out about one issue.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The links that were asked.
    pub links: Vec<Link>,
    /// The sender's domain and what its records say.
    pub sender: Option<(String, Vec<Finding>)>,
    /// When the last look ended.
    pub at: Option<Moment>,
    /// How many links are asked for by a look that is going on.
    pub running: Option<usize>,
}

/// What this process has found out, by issue.
#[derive(Debug, Clone, Default)]
pub struct Probes(Arc<Mutex<HashMap<i64, Found>>>);

impl Probes {
    /// What is known of an issue.
    pub fn found(&self, issue: i64) -> Found {
        self.lock().get(&issue).cloned().unwrap_or_default()
    }

    /// Begins a look. None while one is going on.
    pub fn begin(&self, issue: i64) -> Option<Turn> {
        let mut all = self.lock();
        if all.get(&issue).is_some_and(|found| found.running.is_some()) {
            return None;
        }
        if all.len() >= ISSUES && !all.contains_key(&issue) {
            let oldest = all.iter().filter(|(_, found)| found.running.is_none()).min_by_key(|(_, found)| found.at);
            if let Some(oldest) = oldest.map(|(issue, _)| *issue) {
                all.remove(&oldest);
            }
        }
        all.insert(issue, Found { running: Some(0), ..Found::default() });
        Some(Turn { probes: self.clone(), issue })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look that is going on. It ends when this is dropped, however that comes about.
#[derive(Debug)]
pub struct Turn {
    probes: Probes,
    issue: i64,
}

impl Turn {
    fn change(&self, change: impl FnOnce(&mut Found)) {
        if let Some(found) = self.probes.lock().get_mut(&self.issue) {
            change(found);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.change(|found| found.running = None);
    }
}

/// Looks at the links and the sender of an issue, unless somebody is at it already. What is found can be seen as it comes.
pub async fn look(app: &Shared, issue: i64) -> Result<(), ActError> {
    match app.probes.begin(issue) {
        Some(turn) => look_in_turn(app, &turn).await,
        None => Ok(()),
    }
}

/// The same beside the page: the turn is taken before this returns, so that the page can say so.
pub fn look_beside(app: &Shared, issue: i64) {
    let Some(turn) = app.probes.begin(issue) else { return };
    let app = app.clone();
    tokio::spawn(async move {
        tokio::select! {
            done = look_in_turn(&app, &turn) => if let Err(error) = done {
                tracing::warn!(issue, %error, "the links of an issue could not be looked at");
            },
            () = app.stop.cancelled() => {}
        }
    });
}

async fn look_in_turn(app: &Shared, turn: &Turn) -> Result<(), ActError> {
    let proof = Proof::of(app, turn.issue).await?;
    let mut all = links::of(&proof, &app.config.base_url).map_err(crate::digest::proof::ProofError::from)?;
    all.truncate(LINKS);
    turn.change(|found| found.running = Some(all.len()));
    let asked = async {
        let Ok(fetcher) = links::fetcher(app) else { return };
        let mut answers =
            stream::iter(all.clone()).map(|link| links::ask(app, &fetcher, link)).buffer_unordered(AT_ONCE);
        while let Some(link) = answers.next().await {
            turn.change(|found| found.links.push(link));
        }
    };
    let ((), sender) = tokio::join!(asked, sender(app, &proof));
    turn.change(|found| {
        found.sender = sender;
        found.at = Some(app.clock.now());
        // In the order of the mail, whoever answered first.
        found.links.sort_by_key(|link| all.iter().position(|url| *url == link.url));
    });
    Ok(())
}

/// What the records of the sender's domain say. Nothing where mails do not leave this machine.
async fn sender(app: &Shared, proof: &Proof) -> Option<(String, Vec<Finding>)> {
    const ABOUT: &str = "sender";
    if app.config.smtp.is_none() && app.config.resolver.is_none() {
        return None;
    }
    let hand = Hand::new(app, proof.issue.id, &proof.issue.newsletter).ok()?;
    let domain = hand.domain().to_owned();
    let found = match app.config.resolver.map(Resolver).or_else(Resolver::of_system) {
        Some(resolver) => records::look(&resolver, ABOUT, &domain, app.config.dkim_selector.as_deref()).await,
        None => vec![records::no_resolver(ABOUT)],
    };
    Some((domain, found))
}
