-- Giving. Nothing here names a person: Stripe's ids, amounts, states, and a blind index of the address under the
-- donors' own key, which cannot be joined with the readers' (keys.rs, Drawer::Donors).

-- One press of the button on the support page. The row is committed before Stripe is asked, and the idempotency key is
-- made of its id: whatever is lost on the way, the same press leads to the same Checkout page.
CREATE TABLE support_attempts (
    id BIGINT PRIMARY KEY,
    -- A keyed mark of the form's token and what was chosen in it: a double click finds the first press's row.
    press BYTEA UNIQUE,
    frequency TEXT NOT NULL CHECK (frequency IN ('once', 'monthly', 'annual')),
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    language TEXT NOT NULL,
    -- new: Stripe not asked yet, or it did not answer. open: the reader is at Checkout. pending: a delayed method is on
    -- its way. refused: Stripe would not make the page. paid, failed and expired are the ends.
    state TEXT NOT NULL CHECK (state IN ('new', 'open', 'pending', 'paid', 'failed', 'expired', 'refused')),
    session_id TEXT UNIQUE,
    created_at BIGINT NOT NULL,
    -- When Stripe was last asked how it ended, for attempts whose events never came.
    looked_at BIGINT NOT NULL
);
-- The sweep looks for attempts that have no end yet; nearly all rows have one.
CREATE INDEX support_attempts_unfinished ON support_attempts (looked_at) WHERE state IN ('open', 'pending');

-- What Stripe told us, in the order of arrival, which means nothing: each names an object to be read again. No body is
-- kept, because bodies hold names and addresses.
CREATE TABLE support_events (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    -- Events about an object without an id (invoice.upcoming) have none; they are kept as seen.
    object_id TEXT,
    -- Stripe's time, and ours.
    created_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    -- waiting: to be applied. done: applied. ignored: not about a gift, or of a kind we do not use. failed: given up
    -- after the last try; staff see it, and the reconciliation takes it up again.
    state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'ignored', 'failed')),
    tries BIGINT NOT NULL DEFAULT 0,
    -- Whoever takes it writes a number of its own and moves this ahead: were it to die, the event is due again then.
    next_at BIGINT NOT NULL,
    lease BIGINT,
    -- A short code of ours or Stripe's, never its text, which may quote an address.
    problem TEXT,
    finished_at BIGINT
);
-- The worker's question, asked once a second: what is due?
CREATE INDEX support_events_due ON support_events (next_at) WHERE state = 'waiting';
-- The tidy step removes what was finished long ago.
CREATE INDEX support_events_finished ON support_events (finished_at) WHERE finished_at IS NOT NULL;

-- Reads of one object may overtake each other. Each takes a number before it asks Stripe; an answer is applied only
-- where no later-numbered one was. Every change at Stripe makes an event and so a later read: the last word wins.
CREATE TABLE support_reads (
    object_id TEXT PRIMARY KEY,
    started BIGINT NOT NULL,
    applied BIGINT NOT NULL DEFAULT 0
);

-- A recurring gift: one subscription at Stripe.
CREATE TABLE support_gifts (
    id BIGINT PRIMARY KEY,
    subscription_id TEXT NOT NULL UNIQUE,
    customer_id TEXT,
    attempt_id BIGINT,
    frequency TEXT NOT NULL CHECK (frequency IN ('monthly', 'annual')),
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL,
    language TEXT NOT NULL,
    -- pending: the first payment is not there yet. failing: a renewal was refused and Stripe tries again.
    state TEXT NOT NULL CHECK (state IN ('pending', 'active', 'failing', 'paused', 'ended')),
    started_at BIGINT NOT NULL,
    -- The end of what is paid for: when the next payment is due.
    renews_at BIGINT,
    -- Set while the gift still runs but is to end (at Stripe either by a date or by the period's end).
    ends_at BIGINT,
    ended_at BIGINT,
    ended_why TEXT,
    -- The donors' blind index of the address given to Stripe: how the giver's own page finds it.
    donor BYTEA
);
CREATE INDEX support_gifts_donor ON support_gifts (donor) WHERE donor IS NOT NULL;
CREATE INDEX support_gifts_living ON support_gifts (state) WHERE state <> 'ended';

-- The ledger: every movement of money is a line, written once, never changed. Money in is positive. A one-time payment
-- is named by its payment intent, a recurring one by its invoice, a refund by itself, what came back of a failed refund
-- by the refund with a suffix.
CREATE TABLE support_ledger (
    object_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('payment', 'refund', 'dispute', 'reversal', 'fee')),
    -- What ties a refund to its payment. Charges and payment intents no longer name their invoice, so it is kept from
    -- the day the invoice is paid. A refund may be read before its payment: it counts once both are here.
    payment_intent TEXT,
    gift_id BIGINT,
    attempt_id BIGINT,
    -- Of payments only; what belongs to a payment takes it from there.
    frequency TEXT CHECK (frequency IN ('once', 'monthly', 'annual')),
    first BOOLEAN NOT NULL,
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL,
    at BIGINT NOT NULL,
    donor BYTEA
);
-- One payment, once: were it told to us as a session and as an invoice, the second line is refused.
CREATE UNIQUE INDEX support_ledger_payment ON support_ledger (payment_intent) WHERE kind = 'payment';
CREATE INDEX support_ledger_intent ON support_ledger (payment_intent);
CREATE INDEX support_ledger_at ON support_ledger (at);
CREATE INDEX support_ledger_donor ON support_ledger (donor) WHERE donor IS NOT NULL;

-- "Remind me later", confirmed. The address is sealed, and the row goes with the second mail, a gift or a press of the
-- button in the mail.
CREATE TABLE support_reminders (
    id BIGINT PRIMARY KEY,
    address_sealed BYTEA NOT NULL,
    -- One reminder for an address: asking again moves it.
    address_index BYTEA NOT NULL UNIQUE,
    month TEXT NOT NULL,
    language TEXT NOT NULL,
    sent BIGINT NOT NULL DEFAULT 0,
    asked_at BIGINT NOT NULL,
    next_at BIGINT NOT NULL
);
CREATE INDEX support_reminders_due ON support_reminders (next_at);
