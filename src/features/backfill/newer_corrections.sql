-- Lists the jobs that have corrected this job's corrections and are not rolled back. They must be
-- rolled back before this one.
-- $1 job_id.
-- Index: pre_image_prior_backfill_id_idx, job_pkey.
select j.job_id
from backfill.job j
where j.state <> 'rolled_back'
  and j.purged_at is null
  and exists (
      select from usage.pre_image p
      where p.prior_backfill_id = $1 and p.backfill_id = j.job_id
  )
order by j.job_id desc
limit 10
