-- Takes the fold lock until the transaction ends, or says that another relay holds it. A statement of its own: the
-- statements after it see everything that the last holder committed.
-- $1 fold_lock: the lock's key.
-- Index: none.
select pg_try_advisory_xact_lock($1) as "taken!"
