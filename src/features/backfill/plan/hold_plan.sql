-- Ends each batch of lines: it counts only while the job is being planned by this very stream, and
-- gives the stream another minute.
-- $1 job_id, $2 lease_token; $3 poisoned: lines of this batch that are not acceptable.
-- Index: job_pkey.
update backfill.job
set lease_until = clock_timestamp() + interval '60 seconds', poisoned = poisoned + $3
where job_id = $1 and lease_token = $2 and state = 'planning' and lease_until > clock_timestamp()
