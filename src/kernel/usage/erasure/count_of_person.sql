-- Counts what the schema usage holds of one user.
-- $1 user_id.
-- Index: bucket_pkey, pre_image_pkey, idempotency_pkey, outbox_pkey.
select
    (select count(*) from usage.bucket b where b.user_id = $1) as "buckets!",
    (select count(*) from usage.pre_image p where p.user_id = $1) as "hidden_versions!",
    (select count(*) from usage.idempotency i where i.user_id = $1) as "stored_answers!",
    (select count(*) from usage.outbox o where o.user_id = $1) as "events!"
