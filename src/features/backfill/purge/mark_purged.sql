-- Says before the first row is removed that jobs can no longer be executed or rolled back: those that ended 30 days ago,
-- and at once those that never had a plan. Judged under the job's lock: a rollback that has begun meanwhile goes on.
-- No parameters. Index: none; jobs are few.
update backfill.job
set purged_at = transaction_timestamp()
where purged_at is null
  and (finished_at < transaction_timestamp() - interval '30 days' or (executed_at is null and state = 'failed'))
