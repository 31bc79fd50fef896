-- Cancels a job and takes it away from the worker that holds it. That worker's next fence finds no
-- lease.
-- $1 job_id.
-- Index: job_pkey.
update backfill.job
set state = 'cancelled',
    version = version + 1,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1
