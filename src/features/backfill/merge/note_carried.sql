-- Notes with a merge what its execution has carried over besides buckets, so that its rollback can
-- give it back.
-- $1 job_id; $2 snapshots, $3 last_kept_at, $4 into_last_kept_at: null once they are given back.
-- Index: job_pkey.
update backfill.job
set carried_snapshots = $2, carried_last_kept_at = $3, into_last_kept_at = $4
where job_id = $1
