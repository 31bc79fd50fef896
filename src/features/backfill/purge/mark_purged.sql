-- Says before the first row is removed that a job can no longer be executed or rolled back.
-- $1 job_ids.
-- Index: job_pkey.
update backfill.job
set purged_at = transaction_timestamp()
where job_id = any($1::uuid[]) and purged_at is null
