-- Locks the jobs that have rows of a user, and every job that a worker may have a step under way in,
-- in the order of their ids. A step holds its job from its first statement to its commit.
-- $1 user_id.
-- Index: plan_row_pkey; jobs are few.
select j.job_id
from backfill.job j
where j.state in ('planning', 'running', 'rolling_back')
   or exists (select from backfill.plan_row p where p.job_id = j.job_id and p.user_id = $1)
order by j.job_id
for update of j
