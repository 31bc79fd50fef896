-- Removes plan rows of jobs.
-- $1 job_ids; $2 limit.
-- Index: plan_row_pkey.
delete from backfill.plan_row
where (job_id, user_id, hour_start, device_id, source, model) in (
    select job_id, user_id, hour_start, device_id, source, model
    from backfill.plan_row
    where job_id = any($1::uuid[])
    limit $2
)
