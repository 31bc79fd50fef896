-- Waits until every transaction that stages rows has ended, and makes later ones wait until this one
-- ends. They see the erasure then.
-- $1 planning_lock: the key that hold_off_forgetting.sql shares.
-- Index: none; reads no table.
select pg_advisory_xact_lock($1)
