-- Begins the transaction of each step. It updates the job only while this worker's lease lasts and
-- the job is where this worker has left it. The row's lock keeps everybody else away until the step
-- is whole. The lease is longer than the time after which the database ends an idle transaction, so
-- that it cannot run out under an open step.
-- $1 job_id, $2 lease_token; $3 state, $4 done: as this worker knows them.
-- Index: job_pkey.
update backfill.job
set lease_until = clock_timestamp() + interval '20 seconds'
where job_id = $1 and lease_token = $2 and state = $3 and done = $4 and lease_until > clock_timestamp()
