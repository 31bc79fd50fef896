-- Removes some plan rows of a user who was erased, the first ones of each job, and takes them out of
-- the job's progress. Rows are stepped over in the order of their keys, which begin with the user. So
-- the rows of a user stand together, and how many stand before them says how many of the removed ones
-- a phase has behind it. The worker of such a job loses its lease, and whoever takes the next one
-- reads the job anew. A job that is being planned counts its rows later.
-- $1 user_id; $2 limit.
-- Returns how many rows there were. lock_jobs_of.sql has locked the jobs. Index: plan_row_pkey.
with found as materialized (
    select p.job_id, p.user_id, p.hour_start, p.device_id, p.source, p.model
    from backfill.job j
    cross join lateral (
        select r.job_id, r.user_id, r.hour_start, r.device_id, r.source, r.model
        from backfill.plan_row r
        where r.job_id = j.job_id and r.user_id = $1
        order by r.job_id, r.user_id, r.hour_start, r.device_id, r.source, r.model
        limit $2
    ) p
    limit $2
),
gone as (
    delete from backfill.plan_row p
    using found f
    where p.job_id = f.job_id
      and p.user_id = f.user_id
      and p.hour_start = f.hour_start
      and p.device_id = f.device_id
      and p.source = f.source
      and p.model = f.model
    returning p.job_id
),
placed as materialized (
    select
        g.job_id, g.rows,
        (select count(*) from backfill.plan_row b where b.job_id = g.job_id and b.user_id < $1) as before
    from (select job_id, count(*) as rows from gone group by job_id) g
),
counted as (
    update backfill.job j
    set total = j.total - p.rows,
        done = j.done - greatest(0, least(j.done - p.before, p.rows)),
        reached = j.reached - greatest(0, least(j.reached - p.before, p.rows)),
        lease_token = null,
        lease_until = null
    from placed p
    where j.job_id = p.job_id and j.state <> 'planning'
)
select coalesce(sum(p.rows), 0)::bigint as "rows!" from placed p
