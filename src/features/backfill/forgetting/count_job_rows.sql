-- Counts the plan rows and the exceptions of a user, over all jobs.
-- $1 user_id.
-- Index: plan_row_pkey, exception_user_id_idx.
select (
    select coalesce(sum(n.rows), 0)::bigint
    from backfill.job j
    cross join lateral (
        select count(*) as rows from backfill.plan_row p where p.job_id = j.job_id and p.user_id = $1
    ) n
) + (select count(*) from backfill.exception e where e.user_id = $1) as "rows!"
