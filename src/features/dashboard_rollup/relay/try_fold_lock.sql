-- Takes the fold lock until the transaction ends, or returns false where another relay holds it.
-- The lock is taken in a statement of its own, so that the statements after it see everything that
-- its last holder committed.
-- $1 fold_lock: the lock's key.
-- Index: none; reads no table.
select pg_try_advisory_xact_lock($1) as "taken!"
