-- Finds a merge at work that has to do with one of two devices.
-- $1 job_id: another one than this; $2 device_ids.
-- Index: job_at_work_idx.
select job_id
from backfill.job
where action = 'merge'
  and state in ('running', 'rolling_back')
  and job_id <> $1
  and (from_device_id = any($2::uuid[]) or into_device_id = any($2::uuid[]))
order by job_id
limit 1
