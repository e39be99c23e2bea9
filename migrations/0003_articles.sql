-- Feeds and the articles they bring.

CREATE TABLE feeds (
    id BIGINT PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    -- What the feed calls itself; known after the first reading.
    title TEXT,
    -- The section of its articles where the feed does not say.
    section TEXT NOT NULL,
    paused BOOLEAN NOT NULL DEFAULT FALSE,
    -- A removed feed leaves its row behind: newsroom.toml may still name it, and what staff did later wins.
    removed BOOLEAN NOT NULL DEFAULT FALSE,
    -- What the server gave us to ask "has it changed?" with, and a hash of the bytes for servers that give nothing.
    etag TEXT,
    last_modified TEXT,
    hash BYTEA,
    read_at BIGINT,
    next_at BIGINT NOT NULL,
    failures BIGINT NOT NULL DEFAULT 0,
    failing_since BIGINT,
    -- A sentence for staff.
    problem TEXT,
    -- Which reading holds the feed, and until when: two processes do not read it twice, a crashed one does not keep it.
    lease BIGINT NOT NULL DEFAULT 0,
    leased_until BIGINT NOT NULL DEFAULT 0
);

-- The feeds that are due.
CREATE INDEX feeds_due ON feeds (next_at) WHERE paused = FALSE AND removed = FALSE;

CREATE TABLE articles (
    id BIGINT PRIMARY KEY,
    -- The feed that brought it first. NULL: added by its address.
    feed_id BIGINT REFERENCES feeds (id),
    -- The feed's own id for it: an article whose address changes is still the same.
    guid TEXT,
    -- Without tracking and fragment: one address, one article.
    url TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    author TEXT,
    section TEXT NOT NULL,
    published_at BIGINT NOT NULL,
    summary TEXT NOT NULL,
    -- Sanitised, without pictures.
    body_html TEXT,
    -- Kept apart from the text, since no mail may load it.
    image_url TEXT,
    image_caption TEXT,
    language TEXT,
    -- Title and author in lower case by Unicode's rules, which neither database's own LOWER follows alike.
    search TEXT NOT NULL,
    -- Of all that a reader could see: an entry read again is written only where this differs.
    fingerprint BYTEA NOT NULL,
    fetched_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- Finds an article by the feed's id for it, and counts a feed's articles.
CREATE UNIQUE INDEX articles_guid ON articles (feed_id, guid);

-- The newest first, in all sections and in one.
CREATE INDEX articles_newest ON articles (published_at, id);
CREATE INDEX articles_section ON articles (section, published_at, id);
