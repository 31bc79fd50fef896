-- Forgets what a merge has recorded, because it is taken back.
-- $1 user_id; $2 backfill_id: the merge.
-- Index: erasure_pkey.
delete from usage.erasure where user_id = $1 and backfill_id = $2
