-- The jobs whose rows and pre-images are kept no longer. A late snapshot may still make a pre-image of an old correction,
-- so that they stay on this list.
-- No parameters. Index: none; jobs are few.
select job_id
from backfill.job
where purged_at is not null
order by job_id
