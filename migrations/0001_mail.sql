-- Facts about this database itself, such as which key it belongs to.
CREATE TABLE house (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

-- Mails on their way. Committed together with the change that causes them; recipient and text are sealed, and are
-- emptied as soon as the mail server has taken the mail.
CREATE TABLE outbox (
    id BIGINT PRIMARY KEY,
    -- What mail it is: for counting, never for a reader's eyes.
    kind TEXT NOT NULL,
    -- A keyed mark that keeps the same mail from being written twice ("this address, this day").
    once BYTEA UNIQUE,
    -- When the mark may be forgotten. Until then the row stays, emptied.
    forget_at BIGINT NOT NULL,
    sealed BYTEA,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
    attempts BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    leased_until BIGINT NOT NULL,
    -- Of the last answer: the SMTP code, never its text, which quotes the address.
    code BIGINT,
    -- Changes at each request for the same mail, so that a repeat costs the database as much as a first time.
    touched_at BIGINT NOT NULL
);

-- The worker asks for what is due, most often there is nothing: keep that question off the table.
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'waiting';
CREATE INDEX outbox_forget ON outbox (forget_at);
