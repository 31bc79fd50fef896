-- Fails a plan whose lines could not be read to their end.
-- $1 job_id, $2 lease_token, $3 failure.
-- Index: job_pkey.
update backfill.job
set state = 'failed',
    version = version + 1,
    failure = $3,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1 and lease_token = $2 and state = 'planning'
