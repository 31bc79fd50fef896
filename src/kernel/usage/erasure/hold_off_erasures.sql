-- Holds off erasures of users until the transaction ends, without waiting: the statement before the one that writes, so
-- that the latter's snapshot is newer than any erasure that was let through.
-- $1 user_ids. Two users whose ids hash alike share a lock: then one is told to come back without need.
-- Returns the users who are being erased at this moment. No table.
select u.user_id as "user_id!"
from unnest($1::uuid[]) as u (user_id)
where not pg_try_advisory_xact_lock_shared(1701999987, uuid_hash(u.user_id))
