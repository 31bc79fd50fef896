-- Cancels a job and takes it away from the worker that holds it. That worker's next fence finds no
-- lease. How far it came, `done` says.
-- $1 job_id.
-- Index: job_pkey.
update backfill.job
set state = 'cancelled',
    version = version + 1,
    cursor_user_id = null,
    cursor_hour_start = null,
    cursor_device_id = null,
    cursor_source = null,
    cursor_model = null,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1
