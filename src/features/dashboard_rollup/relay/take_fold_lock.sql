-- Waits for the lock of one part, and holds it until the transaction ends. Whoever holds a part's
-- lock holds the fold lock besides, in shared mode. The locks are taken in a statement of their own,
-- so that the statements after it see everything that their last holders committed.
-- $1 fold_lock: the key of that lock; $2 part_lock: the key of the part's.
-- Index: none; reads no table.
select pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock($2)
