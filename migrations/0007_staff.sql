-- Who works here. Colleagues can be in danger as much as readers: their addresses and names are
-- sealed like readers', with a key of their own.
CREATE TABLE staff (
    id BIGINT PRIMARY KEY,
    -- NULL once somebody has left: the row stays so that the log can say who did what, the address goes.
    address_sealed BYTEA,
    address_index BYTEA UNIQUE,
    name_sealed BYTEA NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('editor', 'publisher', 'finance', 'admin')),
    -- Argon2id, as a PHC string. NULL until the one-time link has been used.
    password TEXT,
    -- The only one-time link that still works carries this number: a newer link replaces it, using it clears it.
    link_serial BIGINT,
    -- The shared secret of the second factor, sealed; NULL: none. A code serves once: the step of the last one is kept.
    factor_sealed BYTEA,
    factor_step BIGINT NOT NULL DEFAULT 0,
    added_at BIGINT NOT NULL,
    last_here BIGINT,
    removed_at BIGINT
);

CREATE TABLE staff_sessions (
    -- A keyed hash of the cookie's token: who reads this table cannot sign in with it.
    mark BYTEA PRIMARY KEY,
    staff_id BIGINT NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL
);
-- "Sign out everywhere", a reset and a removal end all sessions of one person.
CREATE INDEX staff_sessions_by_person ON staff_sessions (staff_id);

-- Failed sign-ins, so that guessing gets slower. Counted for any address that is tried, known or not:
-- otherwise the waiting would tell which addresses have an account.
CREATE TABLE staff_attempts (
    -- A keyed hash of the address tried, with or without the network it came from.
    mark BYTEA PRIMARY KEY,
    failures BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    wait_until BIGINT NOT NULL
);

-- What staff did. Never changed; never holds an address or a name: people are ids, things are ids.
CREATE TABLE staff_log (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    -- Who: 'staff' with an id, 'cli' (whoever has the machine), 'friday' (a background task).
    actor TEXT NOT NULL CHECK (actor IN ('staff', 'cli', 'friday')),
    staff_id BIGINT REFERENCES staff (id),
    action TEXT NOT NULL,
    object TEXT NOT NULL
);
-- The log is read from the newest back, a page at a time.
CREATE INDEX staff_log_by_time ON staff_log (at, id);
