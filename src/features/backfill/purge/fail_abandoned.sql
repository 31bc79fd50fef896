-- Fails the plans whose stream has paused for too long, and the plans that nobody executed within
-- 30 days.
-- No parameters. Index: none; jobs are few.
update backfill.job
set state = 'failed',
    version = version + 1,
    failure = case state when 'planning' then 'abandoned' else 'expired' end,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where (state = 'planning' and lease_until < clock_timestamp())
   or (state = 'planned' and created_at < transaction_timestamp() - interval '30 days')
