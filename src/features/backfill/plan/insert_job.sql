-- Makes a job that is being planned. No row where another request has made one under the same key.
-- $1 job_id, $2 action, $3 reason, $4 first_day, $5 last_day, $6 user_ids, $7 scope_hash,
-- $8 fingerprint; $9 lease_token: of the stream that is being read, which has a minute a batch;
-- $10 from_device_id, $11 into_device_id, $12 resolve: for merges, null otherwise; $13 book: for
-- reprices, null otherwise.
-- Index: job_pkey, job_scope_hash_is_unique.
insert into backfill.job (
    job_id, action, state, reason, first_day, last_day, user_ids, scope_hash, fingerprint, lease_token, lease_until,
    from_device_id, into_device_id, resolve, book
)
values ($1, $2, 'planning', $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + interval '60 seconds', $10, $11, $12, $13)
on conflict (scope_hash) do nothing
