-- Gives a lease back before it runs out.
-- $1 job_id, $2 lease_token.
-- Index: job_pkey.
update backfill.job set lease_token = null, lease_until = null where job_id = $1 and lease_token = $2
