-- Counts the merges of a user that nobody has executed and whose rows are still kept. Cancelled ones
-- count until their rows are removed, which is within minutes.
-- $1 user_ids: the one user.
-- Index: none; jobs are few.
select count(*) as "count!"
from backfill.job
where action = 'merge' and user_ids = $1::uuid[] and executed_at is null and purged_at is null
