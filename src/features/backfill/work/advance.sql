-- Moves the cursor forward over rows or users, and adds what came of them. fence.sql has locked the
-- job. A reprice also moves users who came since the plan.
-- $1 job_id; $2 rows; $3 user_id, $4 hour_start, $5 device_id, $6 source, $7 model: the last of
-- them;
-- $8 poisoned, $9 skipped: how many of them; $10 drift: what a verification has found up to here.
-- Index: job_pkey.
update backfill.job
set done = done + $2,
    total = greatest(total, done + $2),
    cursor_user_id = $3,
    cursor_hour_start = $4,
    cursor_device_id = $5,
    cursor_source = $6,
    cursor_model = $7,
    poisoned = poisoned + $8,
    skipped = skipped + $9,
    drift = coalesce($10, drift)
where job_id = $1
