-- Lists the jobs whose plan rows and pre-images are no longer kept. Jobs stay on this list for
-- good, because a late snapshot may still make a pre-image of an old correction. No parameters.
-- Index: none; jobs are few.
select job_id
from backfill.job
where purged_at is not null
order by job_id
