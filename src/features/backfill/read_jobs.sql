-- Reads jobs, newest first.
-- $1 job_id: only this one, null for all; $2 before: only jobs made before that one, null from the
-- newest on; $3 limit; $4 merges_of: only merges of this user, null for all jobs.
-- Index: job_pkey.
select
    job_id, action, state, version, reason, first_day, last_day, user_ids, plan_hash,
    inserted, raised, lowered, changed, unchanged, rollup_rows,
    tokens_before::text as "tokens_before!", tokens_after::text as "tokens_after!",
    from_device_id, into_device_id, resolve, only_in_from, only_in_into, in_both_equal, in_both_different,
    carried_snapshots, carried_last_kept_at, into_last_kept_at,
    book, former_book, prices,
    total, done, cursor_user_id, cursor_hour_start, cursor_device_id, cursor_source, cursor_model,
    poisoned, skipped, rollbacks, reached, drift, failure, fingerprint,
    coalesce(lease_until > clock_timestamp(), false) as "is_leased!",
    created_at, executed_at, finished_at, purged_at
from backfill.job
where ($1::uuid is null or job_id = $1)
  and ($2::uuid is null or job_id < $2)
  and ($4::uuid is null or (action = 'merge' and user_ids = array[$4::uuid]))
order by job_id desc
limit $3
