-- The issues of a newsletter, what stands in them, and what went out.

CREATE TABLE issues (
    -- Small numbers, because staff type them: `friday issue send 42`.
    id BIGINT PRIMARY KEY,
    newsletter TEXT NOT NULL,
    -- The number readers see, "No. 42": given at the freeze, so that a discarded draft leaves no gap.
    number BIGINT,
    state TEXT NOT NULL CHECK (state IN ('draft', 'scheduled', 'held', 'sending', 'paused', 'sent', 'cancelled')),
    subject TEXT NOT NULL,
    preheader TEXT NOT NULL,
    -- Markdown, as typed.
    introduction TEXT NOT NULL,
    -- After how many sections the support ask stands; NULL leaves it out.
    ask_after BIGINT,
    scheduled_at BIGINT,
    frozen_at BIGINT,
    finished_at BIGINT,
    -- When the last test mail was asked for.
    tested_at BIGINT,
    -- Strictly rising: an editor's form carries it, and a save that carries an older one is refused.
    changed_at BIGINT NOT NULL,
    -- What the archive shows, as JSON, written once at the freeze: an article that changes later changes no sent issue.
    page TEXT,
    UNIQUE (newsletter, number)
);

-- The sender asks every few seconds which issue is due.
CREATE INDEX issues_due ON issues (scheduled_at) WHERE state = 'scheduled';

CREATE TABLE issue_entries (
    issue_id BIGINT NOT NULL REFERENCES issues (id),
    position BIGINT NOT NULL,
    article_id BIGINT NOT NULL,
    section TEXT NOT NULL,
    -- The issue's own words; NULL: as in the article.
    headline TEXT,
    blurb TEXT,
    PRIMARY KEY (issue_id, article_id)
);

-- "Sent in No. 41": which issues had this article.
CREATE INDEX issue_entries_article ON issue_entries (article_id);

-- What readers get, written once at the freeze and never changed.
CREATE TABLE issue_editions (
    issue_id BIGINT NOT NULL REFERENCES issues (id),
    edition TEXT NOT NULL CHECK (edition IN ('full', 'links', 'plain')),
    language TEXT NOT NULL,
    with_ask BOOLEAN NOT NULL,
    subject TEXT NOT NULL,
    preheader TEXT NOT NULL,
    -- NULL: an edition of text only.
    html TEXT,
    text TEXT NOT NULL,
    -- SHA-256 over subject, HTML and text: what is sent is compared with it.
    hash BYTEA NOT NULL,
    PRIMARY KEY (issue_id, edition, language, with_ask)
);
