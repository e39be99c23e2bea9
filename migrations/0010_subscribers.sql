-- Who has confirmed a moment ago. The sender takes the row away as soon as it has seen to it, which is within seconds: an
-- issue that is going out is theirs too, and a mail says welcome.
CREATE TABLE newcomers (
    subscriber_id BIGINT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    newsletter TEXT NOT NULL,
    -- They had left less than a day before, as another reader in the eyes of the database: what is going out now they may
    -- have already.
    returned BOOLEAN NOT NULL,
    -- A midnight, one to two days ahead: then the row goes, seen to or not. No time of day is kept of anybody.
    until BIGINT NOT NULL,
    PRIMARY KEY (subscriber_id, newsletter)
);
