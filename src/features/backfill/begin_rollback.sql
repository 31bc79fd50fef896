-- Hands a job to the workers to be rolled back, from its first row to the last that its execution
-- reached.
-- $1 job_id.
-- Index: job_pkey.
update backfill.job
set state = 'rolling_back',
    version = version + 1,
    reached = coalesce(reached, done),
    rollbacks = rollbacks + 1,
    done = 0,
    cursor_user_id = null,
    cursor_hour_start = null,
    cursor_device_id = null,
    cursor_source = null,
    cursor_model = null,
    failure = null,
    lease_token = null,
    lease_until = null,
    finished_at = null
where job_id = $1
