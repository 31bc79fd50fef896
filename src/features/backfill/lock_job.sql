-- Locks a job until the transaction ends, so that no worker begins a step on it meanwhile.
-- $1 job_id.
-- Index: job_pkey.
select job_id from backfill.job where job_id = $1 for update
