-- Keeps erasures of these users away until the transaction ends, without waiting for one. It must
-- run before the statement that writes, whose snapshot then shows every erasure that came first.
-- $1 user_ids; $2 erasure_lock: the first half of the lock's key, the second is a hash of the user.
-- Two users with the same hash share a lock, so that one may be told to come back without need.
-- Returns the users who are being erased at this moment.
-- Index: none; reads no table.
select u.user_id as "user_id!"
from unnest($1::uuid[]) as u (user_id)
where not pg_try_advisory_xact_lock_shared($2::integer, uuid_hash(u.user_id))
