-- Hands a planned job to the workers. The caller has locked the job and compared its version.
-- $1 job_id; $2 executed_at: the stamp of its corrections.
-- Index: job_pkey.
update backfill.job
set state = 'running', version = version + 1, executed_at = $2, done = 0, lease_token = null, lease_until = null
where job_id = $1
