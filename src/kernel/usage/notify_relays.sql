-- Tells the listening relays that events were committed. PostgreSQL delivers the message when this
-- transaction commits.
-- $1 channel; $2 process: the sender.
-- Index: none; reads no table.
select pg_notify($1, $2)
