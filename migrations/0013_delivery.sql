-- An audience is cut into batches of neighbouring readers, and whoever sends leases a batch. Before, each reader's row was
-- leased: two versions of every row, and two indexes that followed them.
CREATE TABLE delivery_batches (
    issue_id BIGINT NOT NULL,
    -- The readers with an id above this one …
    above BIGINT NOT NULL,
    -- … and up to this one. The last batch of a run goes up to the largest number: those who confirm later may be in it.
    up_to BIGINT NOT NULL,
    -- Not later than the first of its waiting readers is due; NULL when none of them waits.
    due_at BIGINT,
    lease BIGINT REFERENCES delivery_leases (id) ON DELETE SET NULL,
    PRIMARY KEY (issue_id, up_to)
);
CREATE INDEX delivery_batches_due ON delivery_batches (issue_id, due_at) WHERE due_at IS NOT NULL;
-- What a deleted lease frees.
CREATE INDEX delivery_batches_leased ON delivery_batches (lease) WHERE lease IS NOT NULL;

-- Runs from before: what they have of their audience is one batch. One process sends them, and to give it back looks at all.
INSERT INTO delivery_batches (issue_id, above, up_to, due_at)
SELECT issue_id, 0, CASE WHEN gathered_at IS NULL THEN gathered_to ELSE 9223372036854775807 END, 0
FROM delivery_runs WHERE forgotten_at IS NULL;

-- The same rows without a lease.
CREATE TABLE deliveries_now (
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
    -- What went wrong last: the reply's code, and its enhanced code (RFC 3463) or a word of ours. Never the reply's
    -- text: it quotes the address. Both are NULL for who got it.
    code BIGINT,
    trouble TEXT,
    uncertain BOOLEAN NOT NULL,
    PRIMARY KEY (issue_id, subscriber_id)
);
INSERT INTO deliveries_now (issue_id, subscriber_id, edition, language, with_ask, discreet, state, attempts, drops,
                            next_at, code, trouble, uncertain)
SELECT issue_id, subscriber_id, edition, language, with_ask, discreet, state, attempts, drops,
       next_at, code, trouble, uncertain
FROM deliveries;
DROP TABLE deliveries;
ALTER TABLE deliveries_now RENAME TO deliveries;
-- Who failed or waits again, by reason.
CREATE INDEX deliveries_trouble ON deliveries (issue_id, state, trouble) WHERE trouble IS NOT NULL;
-- When the next of those who were put off is tried again.
CREATE INDEX deliveries_again ON deliveries (issue_id, next_at) WHERE state = 'waiting' AND trouble IS NOT NULL;

-- The number of the last sums by domain that the holder of a lease has written: they are added once.
ALTER TABLE delivery_leases ADD COLUMN sums BIGINT NOT NULL DEFAULT 0;
