-- When everybody of an audience had been tried once. Who is put off is tried again for two days, so the end of a run says
-- neither how long an issue took nor when it was out.
ALTER TABLE delivery_runs ADD COLUMN tried_at BIGINT;
-- How many had failed when staff were last told of the run: a later end is news if it is another number.
ALTER TABLE delivery_runs ADD COLUMN told_failed BIGINT;
