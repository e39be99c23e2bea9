-- Giving, deepened: what has happened to a gift, what its giver was told ahead, what staff must look at, and how the
-- nightly comparison with Stripe went. Still nothing that names a person.

-- Until when collection is paused. Stripe goes on by itself then.
ALTER TABLE support_gifts ADD COLUMN paused_until BIGINT;
-- The last month in which the card works, "2027-03": a mail goes before. Not the card itself.
ALTER TABLE support_gifts ADD COLUMN card_until TEXT;
-- Its giver wished to be forgotten: what Stripe tells later must not tie it to an address again.
ALTER TABLE support_gifts ADD COLUMN forgotten BOOLEAN NOT NULL DEFAULT FALSE;
-- The notices task asks whose card runs out, and whose gift renews soon.
CREATE INDEX support_gifts_renewing ON support_gifts (renews_at) WHERE state IN ('active', 'paused');

-- Which gift an event was about, once it is known: a gift's history event by event.
ALTER TABLE support_events ADD COLUMN gift_id BIGINT;
CREATE INDEX support_events_gift ON support_events (gift_id) WHERE gift_id IS NOT NULL;
-- Refused payments of the last minutes tell that somebody tries cards.
CREATE INDEX support_events_refused ON support_events (created_at) WHERE kind = 'payment_intent.payment_failed';
-- A payment's arrival looks for what waits for it.
CREATE INDEX support_events_problem ON support_events (problem) WHERE problem IS NOT NULL;
CREATE INDEX support_attempts_created ON support_attempts (created_at);

-- Turns in a gift's life, written with the change itself: begun, failing, recovered, paused, resumed, changed, ends,
-- goes_on, ended. `detail` is an amount, a date or Stripe's word for why.
CREATE TABLE support_turns (
    id BIGINT PRIMARY KEY,
    gift_id BIGINT NOT NULL,
    what TEXT NOT NULL CHECK (what IN
        ('begun', 'failing', 'recovered', 'paused', 'resumed', 'changed', 'ends', 'goes_on', 'ended')),
    at BIGINT NOT NULL,
    -- How the monthly worth of all gifts changed by it, in minor units of the gift's currency: the figures of new and
    -- lost money are sums of this.
    worth BIGINT NOT NULL,
    detail TEXT
);
CREATE INDEX support_turns_gift ON support_turns (gift_id);
CREATE INDEX support_turns_at ON support_turns (at);

-- Notices that were written before something happens: "renewal 2027-01-05 30", "card 2027-03". Each once.
CREATE TABLE support_notices (
    gift_id BIGINT NOT NULL,
    what TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (gift_id, what)
);

-- What staff must look at. Which country it was is not kept: Stripe's page of the payment says it.
CREATE TABLE support_alarms (
    id BIGINT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('country', 'dispute', 'refund_failed', 'card_testing', 'differs')),
    object_id TEXT NOT NULL,
    raised_at BIGINT NOT NULL,
    -- When staff were written to.
    told_at BIGINT,
    closed_at BIGINT,
    -- What was done. Who did it is in the staff's log.
    note TEXT,
    UNIQUE (kind, object_id)
);
CREATE INDEX support_alarms_open ON support_alarms (raised_at) WHERE closed_at IS NULL;
CREATE INDEX support_alarms_untold ON support_alarms (raised_at) WHERE told_at IS NULL;

-- How the last comparisons with Stripe went: one row each, for the staff page.
CREATE TABLE support_reconciliations (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    -- How many days back it looked.
    days BIGINT NOT NULL,
    events BIGINT NOT NULL,
    taken_in BIGINT NOT NULL,
    -- The sums by currency and the differences, as JSON. Stripe's ids and amounts only.
    sums TEXT NOT NULL,
    differences TEXT NOT NULL
);
CREATE INDEX support_reconciliations_at ON support_reconciliations (at);
