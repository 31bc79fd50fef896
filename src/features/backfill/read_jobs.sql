-- Reads jobs, newest first.
-- $1 job_id: only this one, null for all; $2 before: only jobs made before that one, null from the
-- newest on; $3 limit.
-- Index: job_pkey.
select
    job_id, action, state, version, reason, first_day, last_day, user_ids, plan_hash,
    inserted, raised, lowered, changed, unchanged, rollup_rows,
    tokens_before::text as "tokens_before!", tokens_after::text as "tokens_after!",
    total, done, cursor_user_id, cursor_hour_start, cursor_device_id, cursor_source, cursor_model,
    poisoned, skipped, rollbacks, reached, drift, failure, fingerprint,
    coalesce(lease_until > clock_timestamp(), false) as "is_leased!",
    created_at, executed_at, finished_at, purged_at
from backfill.job
where ($1::uuid is null or job_id = $1)
  and ($2::uuid is null or job_id < $2)
order by job_id desc
limit $3
