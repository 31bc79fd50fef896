-- Keeps a job as it is until the transaction ends: the worker's next step waits, or has just ended.
-- $1 job_id.
-- Index: job_pkey.
select job_id from backfill.job where job_id = $1 for update
