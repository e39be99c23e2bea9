-- Who reads. No name, no network address, no date finer than a week, nothing of what somebody opens.
CREATE TABLE subscribers (
    -- Random, so that it tells neither an order nor a number.
    id BIGINT PRIMARY KEY,
    -- Sealed before its first write, bound to the id.
    address_sealed BYTEA NOT NULL,
    -- Keyed hash of the canonical address: one row for each mailbox, found without opening any.
    address_index BYTEA NOT NULL UNIQUE,
    -- The reader's own choice; the newsletter's language where there is none.
    language TEXT CHECK (language IN ('en', 'ru')),
    edition TEXT NOT NULL CHECK (edition IN ('full', 'links', 'plain')),
    -- Do not name the newsroom in sender and subject.
    discreet BOOLEAN NOT NULL,
    -- Leave out the requests for support. The reader's word; never joined with who gives.
    no_asks BOOLEAN NOT NULL,
    paused_until BIGINT
);

-- Each text that readers agreed to, once: consent must be provable, and wording changes.
CREATE TABLE consent_texts (
    id BIGINT PRIMARY KEY,
    text TEXT NOT NULL UNIQUE
);

CREATE TABLE subscriptions (
    subscriber_id BIGINT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    newsletter TEXT NOT NULL,
    consent_id BIGINT REFERENCES consent_texts (id),
    -- The Monday of the week in which they agreed.
    consent_week BIGINT NOT NULL,
    PRIMARY KEY (subscriber_id, newsletter)
);

-- The audience of a newsletter is gathered by reader id.
CREATE INDEX subscriptions_by_newsletter ON subscriptions (newsletter, subscriber_id);

-- Who left or cannot be reached: only the index and a reason, until a date, so that an import brings nobody back.
CREATE TABLE suppressions (
    address_index BYTEA PRIMARY KEY,
    reason TEXT NOT NULL CHECK (reason IN ('left', 'bounced', 'complained')),
    until BIGINT NOT NULL
);
