-- Waits for the fold lock and holds it until the transaction ends. The lock is taken in a statement
-- of its own, so that the statements after it see everything that its last holder committed.
-- $1 fold_lock: the lock's key.
-- Index: none; reads no table.
select pg_advisory_xact_lock($1)
