-- Tells listeners that events were committed. Delivered when this transaction commits.
-- $1 channel; $2 process: who says so.
-- Index: none.
select pg_notify($1, $2)
