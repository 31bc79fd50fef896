-- Removes the lists of what did not go as planned.
-- $1 job_ids; $2 limit.
-- Index: exception_pkey.
delete from backfill.exception
where (job_id, exception_id) in (
    select job_id, exception_id
    from backfill.exception
    where job_id = any($1::uuid[])
    limit $2
)
