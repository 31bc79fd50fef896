-- The jobs whose rows and pre-images are kept no longer: 30 days after their end; at once where they never had a plan.
-- A late snapshot may still make a pre-image of an old correction, so that they stay on this list.
-- No parameters. Index: none; jobs are few.
select job_id
from backfill.job
where finished_at < transaction_timestamp() - interval '30 days'
   or (executed_at is null and state = 'failed')
order by job_id
