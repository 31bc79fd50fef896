-- Tries to lock keys until the transaction ends, without waiting.
-- $1 scope_hashes. Two hashes with the same first 64 bits share a lock: then one request is told to come back.
-- Returns one row a key, in order. No table.
select pg_try_advisory_xact_lock(('x' || encode(substring(k.scope_hash for 8), 'hex'))::bit(64)::bigint) as "locked!"
from unnest($1::bytea[]) with ordinality as k (scope_hash, position)
order by k.position
