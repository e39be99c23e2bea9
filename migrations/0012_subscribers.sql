-- Pauses end by the minute: found without reading every reader.
CREATE INDEX subscribers_paused ON subscribers (paused_until) WHERE paused_until IS NOT NULL;
