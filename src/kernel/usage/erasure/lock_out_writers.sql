-- Waits until nobody writes a user's buckets, and holds writers off until the transaction ends.
-- $1 user_id. The same lock as in hold_off_erasures.sql. No table.
select pg_advisory_xact_lock(1701999987, uuid_hash($1))
