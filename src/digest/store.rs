//! Issues in the database. Writes `issues`, `issue_entries` and `issue_editions`; reads `articles`.

use crate::clock::Moment;
use crate::db::{self, Db, Tx};
use crate::digest::render::{self, Press, RenderError, RenderedEdition};
use crate::digest::{ASK_LAST, Archived, Draft, Entry, Issue, Kept, Piece, State, arranged, section_name, squeezed};
use crate::newsroom::Newsroom;
use crate::subscribers::Edition;
use crate::words::Language;
use std::collections::HashMap;

#[derive(sqlx::FromRow)]
struct IssueRow {
    id: i64,
    newsletter: String,
    number: Option<i64>,
    state: String,
    subject: String,
    preheader: String,
    introduction: String,
    ask_after: Option<i64>,
    scheduled_at: Option<Moment>,
    frozen_at: Option<Moment>,
    finished_at: Option<Moment>,
    tested_at: Option<Moment>,
    changed_at: Moment,
}

impl From<IssueRow> for Issue {
    fn from(row: IssueRow) -> Issue {
        Issue {
            id: row.id,
            newsletter: row.newsletter,
            number: row.number,
            // OK because the table's CHECK has the same names; a story holds the two together.
            state: State::parse(&row.state).expect("a known state"),
            subject: row.subject,
            preheader: row.preheader,
            introduction: row.introduction,
            ask_after: row.ask_after,
            scheduled_at: row.scheduled_at,
            frozen_at: row.frozen_at,
            finished_at: row.finished_at,
            tested_at: row.tested_at,
            changed_at: row.changed_at,
        }
    }
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    article_id: i64,
    section: String,
    headline: Option<String>,
    blurb: Option<String>,
    url: String,
    title: String,
    author: Option<String>,
    published_at: Moment,
    summary: String,
    body_html: Option<String>,
    language: Option<String>,
}

impl From<EntryRow> for Entry {
    fn from(row: EntryRow) -> Entry {
        Entry {
            article_id: row.article_id,
            section: row.section,
            headline: row.headline,
            blurb: row.blurb,
            piece: Piece {
                url: row.url,
                title: row.title,
                author: row.author.unwrap_or_default(),
                published_at: row.published_at,
                summary: row.summary,
                body_html: row.body_html.unwrap_or_default(),
                language: row.language.unwrap_or_default(),
            },
        }
    }
}

const ISSUE: &str =
    "SELECT id, newsletter, number, state, subject, preheader, introduction, ask_after, scheduled_at, frozen_at,
        finished_at, tested_at, changed_at
 FROM issues WHERE id = $1";

const ENTRIES: &str =
    "SELECT e.article_id, e.section, e.headline, e.blurb, a.url, a.title, a.author, a.published_at, a.summary,
        a.body_html, a.language
 FROM issue_entries e JOIN articles a ON a.id = e.article_id
 WHERE e.issue_id = $1 ORDER BY e.position";

/// One issue.
pub async fn issue(db: &Db, id: i64) -> db::Result<Option<Issue>> {
    Ok(db.read(ISSUE).bind(id).optional::<IssueRow>().await?.map(Issue::from))
}

/// The same, as a transaction that has changed it sees it.
pub async fn issue_now(tx: &mut Tx, id: i64) -> db::Result<Option<Issue>> {
    Ok(tx.query(ISSUE).bind(id).optional::<IssueRow>().await?.map(Issue::from))
}

/// Its entries, in the order of the mail.
pub async fn entries(db: &Db, id: i64) -> db::Result<Vec<Entry>> {
    let rows = db.read(ENTRIES).bind(id).all::<EntryRow>().await?;
    Ok(arranged(rows.into_iter().map(Entry::from).collect()))
}

/// What the list of issues shows.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Line {
    /// The issue.
    pub id: i64,
    /// The newsletter's slug.
    pub newsletter: String,
    /// The number, once frozen.
    pub number: Option<i64>,
    /// See [`State`].
    pub state: String,
    /// The typed subject, else the first headline, else nothing.
    pub subject: String,
    /// When it is to go out.
    pub scheduled_at: Option<Moment>,
    /// When it was frozen.
    pub frozen_at: Option<Moment>,
    /// When it was last changed.
    pub changed_at: Moment,
    /// How many entries it has.
    pub entries: i64,
}

/// All issues, what still needs work first, then the newest; `limit` of them.
pub async fn list(db: &Db, limit: i64) -> db::Result<Vec<Line>> {
    db.read(
        "SELECT i.id, i.newsletter, i.number, i.state, i.scheduled_at, i.frozen_at, i.changed_at,
                CASE WHEN i.subject <> '' THEN i.subject ELSE COALESCE((
                    SELECT COALESCE(e.headline, a.title) FROM issue_entries e JOIN articles a ON a.id = e.article_id
                    WHERE e.issue_id = i.id ORDER BY e.position LIMIT 1), '') END AS subject,
                (SELECT COUNT(*) FROM issue_entries e WHERE e.issue_id = i.id) AS entries
         FROM issues i
         ORDER BY CASE WHEN i.state IN ('sent', 'cancelled') THEN 1 ELSE 0 END, i.id DESC
         LIMIT $1",
    )
    .bind(limit)
    .all()
    .await
}

/// The number the next issue of a newsletter will get.
pub async fn next_number(db: &Db, newsletter: &str) -> db::Result<i64> {
    let row: (i64,) = db
        .read("SELECT COALESCE(MAX(number), 0) + 1 FROM issues WHERE newsletter = $1")
        .bind(newsletter.to_owned())
        .one()
        .await?;
    Ok(row.0)
}

/// A new draft; the support ask stands at its end.
pub async fn create(tx: &mut Tx, now: Moment, newsletter: &str, subject: &str) -> db::Result<i64> {
    let row: (i64,) = tx
        .query(
            "INSERT INTO issues (id, newsletter, state, subject, preheader, introduction, ask_after, changed_at)
             SELECT COALESCE(MAX(id), 0) + 1, $1, 'draft', $2, '', '', $3, $4 FROM issues
             RETURNING id",
        )
        .bind(newsletter.to_owned())
        .bind(squeezed(subject))
        .bind(ASK_LAST)
        .bind(now)
        .one()
        .await?;
    Ok(row.0)
}

/// What became of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// Saved; the new `changed_at`.
    Yes(Moment),
    /// Somebody saved since the form was made, at this time. Nothing was written.
    Conflict(Moment),
    /// It is frozen. Nothing was written.
    Frozen(State),
    /// There is no such issue.
    NotFound,
}

/// Saves a draft, unless somebody else did since `seen`. Entries whose article is gone are left out.
pub async fn save(tx: &mut Tx, now: Moment, id: i64, seen: Moment, draft: &Draft) -> db::Result<Saved> {
    let changed: Option<(Moment,)> = tx
        .query(
            "UPDATE issues SET subject = $1, preheader = $2, introduction = $3, ask_after = $4,
                    changed_at = CASE WHEN changed_at >= $5 THEN changed_at + 1 ELSE $5 END
             WHERE id = $6 AND changed_at = $7 AND state IN ('draft', 'scheduled', 'held')
             RETURNING changed_at",
        )
        .bind(squeezed(&draft.subject))
        .bind(squeezed(&draft.preheader))
        .bind(draft.introduction.replace("\r\n", "\n").trim().to_owned())
        .bind(draft.ask_after)
        .bind(now)
        .bind(id)
        .bind(seen)
        .optional()
        .await?;
    let Some((changed_at,)) = changed else {
        let row: Option<(String, Moment)> =
            tx.query("SELECT state, changed_at FROM issues WHERE id = $1").bind(id).optional().await?;
        return Ok(match row {
            None => Saved::NotFound,
            Some((state, at)) => match State::parse(&state).filter(|state| !state.is_open()) {
                Some(state) => Saved::Frozen(state),
                None => Saved::Conflict(at),
            },
        });
    };
    write_entries(tx, id, draft).await?;
    Ok(Saved::Yes(changed_at))
}

async fn write_entries(tx: &mut Tx, id: i64, draft: &Draft) -> db::Result<()> {
    let draft = draft.clone().tidied();
    tx.query("DELETE FROM issue_entries WHERE issue_id = $1").bind(id).execute().await?;
    for (position, line) in (1_i64..).zip(&draft.lines) {
        let own = |text: &str| Some(squeezed(text)).filter(|text| !text.is_empty());
        tx.query(
            "INSERT INTO issue_entries (issue_id, position, article_id, section, headline, blurb)
             SELECT $1, $2, id, $3, $4, $5 FROM articles WHERE id = $6",
        )
        .bind(id)
        .bind(position)
        .bind(line.section.clone())
        .bind(own(&line.headline))
        .bind(own(&line.blurb))
        .bind(line.article_id)
        .execute()
        .await?;
    }
    Ok(())
}

/// Adds articles at the end of their sections (or all at the end of `section`), without touching what is there.
/// Answers how many were new in the issue, or `None` when it is frozen or does not exist.
pub async fn add(
    tx: &mut Tx,
    now: Moment,
    id: i64,
    articles: &[i64],
    section: Option<&str>,
) -> db::Result<Option<usize>> {
    let open = tx
        .query(
            "UPDATE issues SET changed_at = CASE WHEN changed_at >= $1 THEN changed_at + 1 ELSE $1 END
             WHERE id = $2 AND state IN ('draft', 'scheduled', 'held')",
        )
        .bind(now)
        .bind(id)
        .execute()
        .await?;
    if open == 0 {
        return Ok(None);
    }
    let mut added = 0;
    for article in articles {
        let of: Option<(String,)> =
            tx.query("SELECT section FROM articles WHERE id = $1").bind(*article).optional().await?;
        let Some((own,)) = of else { continue };
        added += tx
            .query(
                "INSERT INTO issue_entries (issue_id, position, article_id, section)
                 SELECT $1, COALESCE(MAX(position), 0) + 1, $2, $3 FROM issue_entries WHERE issue_id = $1
                 ON CONFLICT (issue_id, article_id) DO NOTHING",
            )
            .bind(id)
            .bind(*article)
            .bind(section_name(section.unwrap_or(&own)))
            .execute()
            .await? as usize;
    }
    Ok(Some(added))
}

/// Notes that a test was asked for.
pub async fn tested(tx: &mut Tx, now: Moment, id: i64) -> db::Result<()> {
    tx.query("UPDATE issues SET tested_at = $1 WHERE id = $2").bind(now).bind(id).execute().await?;
    Ok(())
}

/// Which articles another issue of the newsletter has sent: article to number, the latest.
pub async fn sent_in(db: &Db, newsletter: &str, but: i64) -> db::Result<HashMap<i64, i64>> {
    let rows: Vec<(i64, i64)> = db
        .read(
            "SELECT e.article_id, MAX(i.number) FROM issue_entries e JOIN issues i ON i.id = e.issue_id
             WHERE i.newsletter = $1 AND i.id <> $2 AND i.number IS NOT NULL AND i.state IN ('sending', 'paused', 'sent')
             GROUP BY e.article_id",
        )
        .bind(newsletter.to_owned())
        .bind(but)
        .all()
        .await?;
    Ok(rows.into_iter().collect())
}

/// Sets or clears the time at which an open issue goes out. That changes nothing that a test showed, so one that was good stays
/// so. False when it is frozen or does not exist.
pub async fn set_schedule(tx: &mut Tx, now: Moment, id: i64, at: Option<Moment>) -> db::Result<bool> {
    let state = if at.is_some() { State::Scheduled } else { State::Draft };
    let changed = tx
        .query(
            "UPDATE issues SET scheduled_at = $1, state = $2,
                    tested_at = CASE WHEN tested_at >= changed_at THEN
                        CASE WHEN changed_at >= $3 THEN changed_at + 1 ELSE $3 END ELSE tested_at END,
                    changed_at = CASE WHEN changed_at >= $3 THEN changed_at + 1 ELSE $3 END
             WHERE id = $4 AND state IN ('draft', 'scheduled', 'held')",
        )
        .bind(at)
        .bind(state.as_str())
        .bind(now)
        .bind(id)
        .execute()
        .await?;
    Ok(changed > 0)
}

/// Moves an issue on, if it is where the caller thinks it is. The end of its way is dated.
pub async fn move_state(tx: &mut Tx, now: Moment, id: i64, from: State, to: State) -> db::Result<bool> {
    let finished = matches!(to, State::Sent | State::Cancelled).then_some(now);
    let moved = tx
        .query("UPDATE issues SET state = $1, finished_at = $2 WHERE id = $3 AND state = $4")
        .bind(to.as_str())
        .bind(finished)
        .bind(id)
        .bind(from.as_str())
        .execute()
        .await?;
    Ok(moved > 0)
}

/// Where an issue stands, as a transaction sees it.
pub async fn state(tx: &mut Tx, id: i64) -> db::Result<Option<State>> {
    let state: Option<(String,)> = tx.query("SELECT state FROM issues WHERE id = $1").bind(id).optional().await?;
    Ok(state.and_then(|(state,)| State::parse(&state)))
}

/// Holds an issue that is to go out at a time. False when it is not any more.
pub async fn hold_schedule(tx: &mut Tx, id: i64, at: Moment) -> db::Result<bool> {
    let held = tx
        .query("UPDATE issues SET state = state WHERE id = $1 AND state = 'scheduled' AND scheduled_at = $2")
        .bind(id)
        .bind(at)
        .execute()
        .await?;
    Ok(held == 1)
}

/// Why an issue cannot be frozen. Nothing was changed; the transaction should be dropped.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// No such issue.
    #[error("there is no issue {0}")]
    NotFound(i64),
    /// It is on its way, or over.
    #[error("issue {id} is {state}: it can be frozen once, from draft, scheduled or held")]
    State {
        /// The issue.
        id: i64,
        /// Where it stands.
        state: State,
    },
    /// Its newsletter is no longer in the settings.
    #[error("the newsletter \"{0}\" of this issue is not in the newsroom's settings")]
    Newsletter(String),
    /// There is nothing in it.
    #[error("issue {0} has no articles and no introduction")]
    Empty(i64),
    /// It cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// What the archive keeps cannot be written.
    #[error("the archive page of issue {0} cannot be written: {1}")]
    Page(i64, serde_json::Error),
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
}

/// What was frozen.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// The number it got.
    pub number: i64,
    /// Every edition, as stored.
    pub editions: Vec<RenderedEdition>,
}

/// Freezes an issue: gives it its number, renders and stores every edition and the archive's page, and moves it to
/// `sending`. All within `tx`: the audience joins the same transaction.
pub async fn freeze(
    tx: &mut Tx,
    now: Moment,
    id: i64,
    newsroom: &Newsroom,
    base_url: &str,
) -> Result<Frozen, FreezeError> {
    // The number first: its update takes the row, so that of two processes that freeze at once the second waits and fails.
    let claimed: Option<(i64,)> = tx
        .query(
            "UPDATE issues SET state = 'sending', frozen_at = $1, changed_at = CASE WHEN changed_at >= $1 THEN changed_at + 1 ELSE $1 END,
                    number = (SELECT COALESCE(MAX(o.number), 0) + 1 FROM issues o WHERE o.newsletter = issues.newsletter)
             WHERE id = $2 AND state IN ('draft', 'scheduled', 'held')
             RETURNING number",
        )
        .bind(now)
        .bind(id)
        .optional()
        .await?;
    let row = tx.query(ISSUE).bind(id).optional::<IssueRow>().await?;
    let mut issue = row.map(Issue::from).ok_or(FreezeError::NotFound(id))?;
    let Some((number,)) = claimed else { return Err(FreezeError::State { id, state: issue.state }) };
    let rows = tx.query(ENTRIES).bind(id).all::<EntryRow>().await?;
    let entries = arranged(rows.into_iter().map(Entry::from).collect());
    if entries.is_empty() && issue.introduction.trim().is_empty() {
        return Err(FreezeError::Empty(id));
    }
    let newsletter =
        newsroom.newsletter(&issue.newsletter).ok_or_else(|| FreezeError::Newsletter(issue.newsletter.clone()))?;
    issue.subject = super::subject(&issue, &entries, &newsletter.name);
    issue.preheader = super::preheader(&issue, &entries);
    let editions = render::editions(Press { newsroom, newsletter, base_url, at: now }, &issue, &entries)?;
    for edition in &editions {
        write_edition(tx, id, edition).await?;
    }
    let page = serde_json::to_string(&kept(&entries)).map_err(|source| FreezeError::Page(id, source))?;
    tx.query("UPDATE issues SET subject = $1, preheader = $2, page = $3 WHERE id = $4")
        .bind(issue.subject)
        .bind(issue.preheader)
        .bind(page)
        .bind(id)
        .execute()
        .await?;
    Ok(Frozen { number, editions })
}

async fn write_edition(tx: &mut Tx, id: i64, edition: &RenderedEdition) -> db::Result<u64> {
    tx.query(
        "INSERT INTO issue_editions (issue_id, edition, language, with_ask, subject, preheader, html, text, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id)
    .bind(edition.edition.as_str())
    .bind(edition.language.as_str())
    .bind(edition.with_ask)
    .bind(edition.subject.clone())
    .bind(edition.preheader.clone())
    .bind(edition.html.clone())
    .bind(edition.text.clone())
    .bind(edition.hash())
    .execute()
    .await
}

fn kept(entries: &[Entry]) -> Vec<Kept> {
    let keep = |entry: &Entry| Kept {
        section: entry.section.clone(),
        headline: squeezed(entry.headline()),
        url: entry.piece.url.clone(),
        author: squeezed(&entry.piece.author),
        published_at: entry.piece.published_at,
        blurb: entry.blurb(),
        language: entry.piece.language.clone(),
    };
    entries.iter().map(keep).collect()
}

/// What the archive keeps of an issue's entries; of a draft that was given up, what was in it.
pub async fn kept_entries(db: &Db, id: i64) -> db::Result<Vec<Kept>> {
    let row: Option<(Option<String>,)> = db.read("SELECT page FROM issues WHERE id = $1").bind(id).optional().await?;
    match row.and_then(|(page,)| page).and_then(|page| serde_json::from_str(&page).ok()) {
        Some(kept) => Ok(kept),
        None => Ok(kept(&entries(db, id).await?)),
    }
}

/// A frozen edition and the hash it was stored with.
#[derive(Debug, Clone)]
pub struct StoredEdition {
    /// What goes out.
    pub rendered: RenderedEdition,
    /// SHA-256, as it was at the freeze.
    pub hash: Vec<u8>,
}

#[derive(sqlx::FromRow)]
struct EditionRow {
    edition: String,
    language: String,
    with_ask: bool,
    subject: String,
    preheader: String,
    html: Option<String>,
    text: String,
    hash: Vec<u8>,
}

/// The frozen editions of an issue; none before the freeze.
pub async fn editions(db: &Db, id: i64) -> db::Result<Vec<StoredEdition>> {
    let rows = db
        .read(
            "SELECT edition, language, with_ask, subject, preheader, html, text, hash FROM issue_editions WHERE issue_id = $1
             ORDER BY edition, language, with_ask",
        )
        .bind(id)
        .all::<EditionRow>()
        .await?;
    let stored = rows.into_iter().filter_map(|row| {
        let rendered = RenderedEdition {
            edition: Edition::parse(&row.edition)?,
            language: Language::parse(&row.language)?,
            with_ask: row.with_ask,
            subject: row.subject,
            preheader: row.preheader,
            html: row.html,
            text: row.text,
        };
        Some(StoredEdition { rendered, hash: row.hash })
    });
    Ok(stored.collect())
}

#[derive(sqlx::FromRow)]
struct ArchivedRow {
    number: i64,
    subject: String,
    preheader: String,
    introduction: String,
    ask_after: Option<i64>,
    frozen_at: Moment,
    page: String,
}

impl From<ArchivedRow> for Archived {
    fn from(row: ArchivedRow) -> Archived {
        Archived {
            number: row.number,
            subject: row.subject,
            preheader: row.preheader,
            introduction: row.introduction,
            ask_after: row.ask_after,
            at: row.frozen_at,
            // OK to be empty: an issue of words alone has no entries.
            entries: serde_json::from_str(&row.page).unwrap_or_default(),
        }
    }
}

/// The latest issue of a newsletter that readers may see, with its entries.
pub async fn latest(db: &Db, newsletter: &str) -> db::Result<Option<Archived>> {
    let row = db
        .read(
            "SELECT number, subject, preheader, introduction, ask_after, frozen_at, page FROM issues
             WHERE newsletter = $1 AND state IN ('sending', 'paused', 'sent') AND page IS NOT NULL
             ORDER BY number DESC LIMIT 1",
        )
        .bind(newsletter.to_owned())
        .optional::<ArchivedRow>()
        .await?;
    Ok(row.map(Archived::from))
}

/// One issue of the archive.
pub async fn archived(db: &Db, newsletter: &str, number: i64) -> db::Result<Option<Archived>> {
    let row = db
        .read(
            "SELECT number, subject, preheader, introduction, ask_after, frozen_at, page FROM issues
             WHERE newsletter = $1 AND number = $2 AND state IN ('sending', 'paused', 'sent') AND page IS NOT NULL",
        )
        .bind(newsletter.to_owned())
        .bind(number)
        .optional::<ArchivedRow>()
        .await?;
    Ok(row.map(Archived::from))
}

/// A line of the archive.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ArchiveLine {
    /// The number.
    pub number: i64,
    /// The subject.
    pub subject: String,
    /// The preheader.
    pub preheader: String,
    /// When it went out.
    pub frozen_at: Moment,
}

/// Every issue that readers may see, the newest first.
pub async fn archive(db: &Db, newsletter: &str) -> db::Result<Vec<ArchiveLine>> {
    db.read(
        "SELECT number, subject, preheader, frozen_at FROM issues
         WHERE newsletter = $1 AND state IN ('sending', 'paused', 'sent') AND page IS NOT NULL
         ORDER BY number DESC",
    )
    .bind(newsletter.to_owned())
    .all()
    .await
}

/// The newest issues in full, for the feed.
pub async fn newest(db: &Db, newsletter: &str, limit: i64) -> db::Result<Vec<Archived>> {
    let rows = db
        .read(
            "SELECT number, subject, preheader, introduction, ask_after, frozen_at, page FROM issues
             WHERE newsletter = $1 AND state IN ('sending', 'paused', 'sent') AND page IS NOT NULL
             ORDER BY number DESC LIMIT $2",
        )
        .bind(newsletter.to_owned())
        .bind(limit)
        .all::<ArchivedRow>()
        .await?;
    Ok(rows.into_iter().map(Archived::from).collect())
}

/// The entries of a draft that may not be saved yet, with their articles. Those whose article is gone are left out.
pub async fn entries_of(db: &Db, draft: &Draft) -> db::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for line in draft.clone().tidied().lines {
        let row = db
            .read(
                "SELECT id AS article_id, section, CAST(NULL AS TEXT) AS headline, CAST(NULL AS TEXT) AS blurb, url, title, author,
                        published_at, summary, body_html, language
                 FROM articles WHERE id = $1",
            )
            .bind(line.article_id)
            .optional::<EntryRow>()
            .await?;
        if let Some(row) = row {
            let own = |text: String| Some(text).filter(|text| !text.trim().is_empty());
            let entry = Entry::from(row);
            entries.push(Entry {
                section: line.section,
                headline: own(line.headline),
                blurb: own(line.blurb),
                ..entry
            });
        }
    }
    Ok(entries)
}

/// Gives up a draft that was never scheduled. False when it is not one.
pub async fn discard(tx: &mut Tx, now: Moment, id: i64) -> db::Result<bool> {
    move_state(tx, now, id, State::Draft, State::Cancelled).await
}
