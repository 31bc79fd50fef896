-- Ends a phase of a job. What its cursor stood on is nobody's business any more. fence.sql has locked
-- the job.
-- $1 job_id, $2 state, $3 failure: null where there is none.
-- Index: job_pkey.
update backfill.job
set state = $2,
    version = version + 1,
    failure = $3,
    cursor_user_id = null,
    cursor_hour_start = null,
    cursor_device_id = null,
    cursor_source = null,
    cursor_model = null,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1
