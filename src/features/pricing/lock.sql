-- Waits for a lock and holds it until the transaction ends.
-- $1 key: of the imports, or the fold lock.
-- Index: none; reads no table.
select pg_advisory_xact_lock($1)
