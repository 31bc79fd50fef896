-- Finds the job that was made under a key.
-- $1 scope_hash.
-- Index: job_scope_hash_is_unique.
select job_id from backfill.job where scope_hash = $1
