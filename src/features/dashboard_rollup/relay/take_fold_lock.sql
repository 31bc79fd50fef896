-- Waits for the fold lock and holds it until the transaction ends. A statement of its own: the statements after it see
-- everything that the last holder committed.
-- $1 fold_lock: the lock's key.
-- Index: none.
select pg_advisory_xact_lock($1)
