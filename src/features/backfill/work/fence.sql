-- The first statement of each step's transaction: goes on only while this worker's lease lasts and the job is where it
-- has left it. The lock keeps everybody else away until the step is whole, and the lease is longer than the time after
-- which the database ends a transaction that has gone quiet.
-- $1 job_id, $2 lease_token; $3 state, $4 done: as this worker knows them.
-- Index: job_pkey.
update backfill.job
set lease_until = clock_timestamp() + interval '20 seconds'
where job_id = $1 and lease_token = $2 and state = $3 and done = $4 and lease_until > clock_timestamp()
