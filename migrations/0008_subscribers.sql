-- Who moved to another address is another reader from then on: no link in the mailbox that was left leads to them. For
-- some weeks this says which reader became which, so that an issue on its way still finds them; the sender alone asks.
CREATE TABLE moves (
    left_id BIGINT PRIMARY KEY,
    subscriber_id BIGINT NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    -- A Monday.
    until BIGINT NOT NULL
);

CREATE INDEX moves_by_subscriber ON moves (subscriber_id);
