-- Keeps erasures of persons from looking at jobs until the transaction ends. It must run before the
-- statement that stages rows, whose snapshot then shows every erasure that came first.
-- $1 planning_lock: the key that wait_for_plans.sql takes.
-- Index: none; reads no table.
select pg_advisory_xact_lock_shared($1)
