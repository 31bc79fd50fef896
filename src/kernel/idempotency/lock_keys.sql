-- Tries to lock keys until the transaction ends, without waiting. The lock's key is the first 64
-- bits of the hash: two keys that share them share a lock, so that one request may be told to come
-- back without need.
-- $1 scope_hashes.
-- Returns a row for each key, in order. Index: none; reads no table.
select pg_try_advisory_xact_lock(('x' || encode(substring(k.scope_hash for 8), 'hex'))::bit(64)::bigint) as "locked!"
from unnest($1::bytea[]) with ordinality as k (scope_hash, position)
order by k.position
