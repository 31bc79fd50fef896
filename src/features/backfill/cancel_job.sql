-- Takes a job away from whoever works on it: the next statement that asks for the lease finds none.
-- $1 job_id.
-- Index: job_pkey.
update backfill.job
set state = 'cancelled',
    version = version + 1,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1
