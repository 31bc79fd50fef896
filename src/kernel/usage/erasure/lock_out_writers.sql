-- Waits until no transaction writes this user's buckets, and keeps writers away until this
-- transaction ends.
-- $1 user_id; $2 erasure_lock: the first half of the lock's key, as in hold_off_erasures.sql.
-- Index: none; reads no table.
select pg_advisory_xact_lock($2::integer, uuid_hash($1::uuid))
