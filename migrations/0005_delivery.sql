-- How an issue goes out: one run for each issue that was sent, one row for each of its readers.

-- A run and its counts. The counts move in the transactions that move the rows, so a page about a million readers
-- reads one row; when the run is done they are counted once more from the rows. They stay when the rows are forgotten.
CREATE TABLE delivery_runs (
    issue_id BIGINT PRIMARY KEY,
    newsletter TEXT NOT NULL,
    -- What a reader gets who has chosen no language.
    language TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    -- The audience is gathered in steps short enough that a sign-up need not wait for the last: up to here so far …
    gathered_to BIGINT NOT NULL,
    -- … and whole since here. Nothing is sent before.
    gathered_at BIGINT,
    -- When nobody was waiting any more.
    finished_at BIGINT,
    -- When the rows were removed, some weeks later.
    forgotten_at BIGINT,
    readers BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    -- Left, paused or were suppressed between the freeze and their turn.
    skipped BIGINT NOT NULL,
    -- Of those waiting: asked by a server to come back later.
    deferred BIGINT NOT NULL,
    -- Of those waiting or failed: the answer was lost after the last dot, so they may have it.
    uncertain BIGINT NOT NULL
);

-- A process that sends holds one lease and renews it while it lives. Deleting a lease frees what was leased by it.
CREATE TABLE delivery_leases (
    id BIGINT PRIMARY KEY,
    until BIGINT NOT NULL,
    connections BIGINT NOT NULL
);

CREATE TABLE deliveries (
    issue_id BIGINT NOT NULL,
    subscriber_id BIGINT NOT NULL,
    -- What the reader had chosen at the freeze.
    edition TEXT NOT NULL CHECK (edition IN ('full', 'links', 'plain')),
    language TEXT NOT NULL,
    with_ask BOOLEAN NOT NULL,
    discreet BOOLEAN NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed', 'skipped')),
    -- How often a server asked to come back later, and how often a connection broke over this reader.
    attempts BIGINT NOT NULL,
    drops BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    lease BIGINT REFERENCES delivery_leases (id) ON DELETE SET NULL,
    -- What went wrong last: the reply's code, and its enhanced code (RFC 3463) or a word of ours. Never the reply's
    -- text: it quotes the address. Both are NULL for who got it.
    code BIGINT,
    trouble TEXT,
    uncertain BOOLEAN NOT NULL,
    PRIMARY KEY (issue_id, subscriber_id)
);

-- The next batch to send, and whether anybody is waiting at all.
CREATE INDEX deliveries_due ON deliveries (issue_id, next_at) WHERE state = 'waiting';
-- What a deleted lease frees.
CREATE INDEX deliveries_leased ON deliveries (lease) WHERE lease IS NOT NULL;
-- Who failed or waits again, by reason.
CREATE INDEX deliveries_trouble ON deliveries (issue_id, state, trouble) WHERE trouble IS NOT NULL;

-- Counts by receiving domain. A delivery does not know its domain, and a domain not its readers: the sender, which
-- opens each address anyway, adds up and writes sums. The mark is keyed and differs in each issue; the name is sealed.
CREATE TABLE delivery_domains (
    issue_id BIGINT NOT NULL,
    mark BIGINT NOT NULL,
    name_sealed BYTEA NOT NULL,
    sent BIGINT NOT NULL,
    deferred BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    -- The last refusal's enhanced code.
    trouble TEXT,
    PRIMARY KEY (issue_id, mark)
);

-- What happened in a run, in words for its page: begun, paused by whom, the server away, done.
CREATE TABLE delivery_events (
    id BIGINT PRIMARY KEY,
    issue_id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    what TEXT NOT NULL
);
CREATE INDEX delivery_events_of ON delivery_events (issue_id, at);
