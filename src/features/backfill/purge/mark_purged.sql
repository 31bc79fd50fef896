-- Marks the jobs that can no longer be executed or rolled back: those that ended 30 days ago, and
-- at once those that failed without a plan, and merges that were cancelled before their execution. The mark is set before the first row is removed. Jobs
-- are judged under their own lock, so that a rollback that has just begun goes on. No parameters.
-- Index: none; jobs are few.
update backfill.job
set purged_at = transaction_timestamp()
where purged_at is null
  and (
      finished_at < transaction_timestamp() - interval '30 days'
      or (executed_at is null and state = 'failed')
      or (executed_at is null and state = 'cancelled' and action = 'merge')
  )
