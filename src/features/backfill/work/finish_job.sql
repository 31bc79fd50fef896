-- Ends a phase of a job. fence.sql has locked the job.
-- $1 job_id, $2 state, $3 failure: null where there is none.
-- Index: job_pkey.
update backfill.job
set state = $2,
    version = version + 1,
    failure = $3,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1
