-- Removes exceptions of jobs.
-- $1 job_ids; $2 limit.
-- Index: exception_pkey.
delete from backfill.exception
where (job_id, exception_id) in (
    select job_id, exception_id
    from backfill.exception
    where job_id = any($1::uuid[])
    limit $2
)
