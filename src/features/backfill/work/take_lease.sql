-- Takes the lease of the oldest job that has work to do and no worker. Two workers that ask at once
-- never get the same job.
-- $1 lease_token: the worker's own; $2 job_id: only this one, null for any.
-- Index: job_at_work_idx.
update backfill.job
set lease_token = $1, lease_until = clock_timestamp() + interval '20 seconds'
where job_id = (
    select job_id
    from backfill.job
    where state in ('running', 'rolling_back')
      and (lease_until is null or lease_until <= clock_timestamp())
      and ($2::uuid is null or job_id = $2)
    order by job_id
    limit 1
    for update skip locked
)
returning job_id
