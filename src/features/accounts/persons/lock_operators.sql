-- Waits until no other operator is being erased, until the transaction ends.
-- $1 operators_lock.
-- Index: none; reads no table.
select pg_advisory_xact_lock($1)
