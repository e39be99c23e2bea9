//! An issue as it would go out now: what previews show and test mails carry.

use crate::address::Address;
use crate::app::App;
use crate::clock::Moment;
use crate::db::{self, Tx};
use crate::digest::render::{self, Press, RenderError, RenderedEdition};
use crate::digest::{Draft, Entry, Issue, mail, store};
use crate::mail::outbox;
use crate::newsroom::{Newsletter, Newsroom};
use crate::subscribers::{self, Edition};
use crate::words::Language;
use std::sync::Arc;

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// No such issue.
    #[error("there is no issue {0}")]
    NotFound(i64),
    /// Its newsletter is no longer in the settings.
    #[error("the newsletter \"{0}\" of this issue is not in the newsroom's settings")]
    Newsletter(String),
    /// It cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
}

/// An issue, what is in it, and what surrounds it.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The issue, with the number it has or would get.
    pub issue: Issue,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
    /// Its newsletter.
    pub newsletter: Newsletter,
    newsroom: Arc<Newsroom>,
    base_url: String,
    at: Moment,
    /// What was frozen, once it was.
    frozen: Vec<RenderedEdition>,
}

impl Proof {
    /// Of an issue as it is stored.
    pub async fn of(app: &App, id: i64) -> Result<Proof, ProofError> {
        let issue = store::issue(&app.db, id).await?.ok_or(ProofError::NotFound(id))?;
        let entries = store::entries(&app.db, id).await?;
        let mut proof = Proof::assemble(app, issue, entries).await?;
        let frozen = store::editions(&app.db, id).await?;
        proof.frozen = frozen.into_iter().map(|edition| edition.rendered).collect();
        Ok(proof)
    }

    /// Of an issue as somebody is typing it.
    pub async fn of_draft(app: &App, issue: Issue, draft: &Draft) -> Result<Proof, ProofError> {
        let issue = Issue {
            subject: draft.subject.clone(),
            preheader: draft.preheader.clone(),
            introduction: draft.introduction.clone(),
            ask_after: draft.ask_after,
            ..issue
        };
        let entries = store::entries_of(&app.db, draft).await?;
        Proof::assemble(app, issue, entries).await
    }

    async fn assemble(app: &App, mut issue: Issue, entries: Vec<Entry>) -> Result<Proof, ProofError> {
        let newsroom = app.newsroom();
        let newsletter = newsroom.newsletter(&issue.newsletter).cloned();
        let newsletter = newsletter.ok_or_else(|| ProofError::Newsletter(issue.newsletter.clone()))?;
        if issue.number.is_none() {
            issue.number = Some(store::next_number(&app.db, &issue.newsletter).await?);
        }
        let at = issue.frozen_at.or(issue.scheduled_at).unwrap_or_else(|| app.clock.now());
        let base_url = app.config.base_url.clone();
        Ok(Proof { issue, entries, newsletter, newsroom, base_url, at, frozen: Vec::new() })
    }

    /// One edition; as it was frozen, if it was.
    pub fn edition(
        &self,
        edition: Edition,
        language: Language,
        with_ask: bool,
    ) -> Result<RenderedEdition, RenderError> {
        let same = |e: &&RenderedEdition| e.edition == edition && e.language == language && e.with_ask == with_ask;
        match self.frozen.iter().find(same) {
            Some(frozen) => Ok(frozen.clone()),
            None => render::edition(self.press(), &self.issue, &self.entries, edition, language, with_ask),
        }
    }

    /// The same for looking at: the links that would be a reader's own lead to pages that harm nobody.
    pub fn shown(&self, edition: Edition, language: Language, with_ask: bool) -> Result<RenderedEdition, RenderError> {
        let page = format!("{}/newsletters/{}", self.base_url, self.newsletter.slug);
        Ok(self.edition(edition, language, with_ask)?.with_links(&page, &format!("{}/preferences", self.base_url)))
    }

    /// What was frozen; nothing before that.
    pub fn frozen(&self) -> &[RenderedEdition] {
        &self.frozen
    }

    fn press(&self) -> Press<'_> {
        Press { newsroom: &self.newsroom, newsletter: &self.newsletter, base_url: &self.base_url, at: self.at }
    }

    /// Every edition in every language that a reader of the newsletter has chosen; while it has no readers, each edition in
    /// its own language.
    pub async fn versions(&self, app: &App) -> Result<Vec<(Edition, Language)>, ProofError> {
        let own = self.newsletter.language;
        let slug = &self.newsletter.slug;
        let chosen = subscribers::store::stretch::choices(&app.db, slug, own.as_str(), app.clock.now()).await?;
        let mut versions: Vec<(Edition, Language)> =
            chosen.into_iter().filter_map(|(edition, language)| Some((edition, Language::parse(&language)?))).collect();
        if versions.is_empty() {
            versions.extend(Edition::ALL.map(|edition| (edition, own)));
        }
        // The newsletter's own language first.
        versions.sort_by_key(|(edition, language)| {
            (*language != own, language.as_str(), Edition::ALL.iter().position(|e| e == edition))
        });
        Ok(versions)
    }

    /// Puts test mails into the outbox, one for each address and version. Answers how many. The issue counts as tested once
    /// everything that its readers will get was sent.
    pub async fn send_test(
        &self,
        app: &App,
        tx: &mut Tx,
        to: &[Address],
        versions: &[(Edition, Language)],
    ) -> Result<usize, ProofError> {
        let sender = self.newsroom.sender(Some(&self.newsletter), app.config.host());
        let now = app.clock.now();
        let mut sent = 0;
        for (edition, language) in versions {
            let rendered = self.shown(*edition, *language, true)?;
            for address in to {
                let message = mail::test(&rendered, address.clone(), sender.clone());
                outbox::put(tx, &app.keys, now, outbox::Note { kind: "issue-test", once: None, message }).await?;
                sent += 1;
            }
        }
        if self.versions(app).await?.iter().all(|version| versions.contains(version)) {
            store::tested(tx, now.max(self.issue.changed_at), self.issue.id).await?;
        }
        Ok(sent)
    }
}
