-- Ends each batch of lines and gives the stream another minute. No row is updated where the job is
-- no longer being planned by this stream, and then the batch does not count.
-- $1 job_id, $2 lease_token; $3 poisoned: the lines of this batch that are not acceptable.
-- Index: job_pkey.
update backfill.job
set lease_until = clock_timestamp() + interval '60 seconds', poisoned = poisoned + $3
where job_id = $1 and lease_token = $2 and state = 'planning' and lease_until > clock_timestamp()
