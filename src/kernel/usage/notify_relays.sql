-- Tells the listening relays that events were committed. PostgreSQL delivers the message when this
-- transaction commits.
-- $1 channel; $2 announcement: the sender, and the parts of users that the events are in.
-- Index: none; reads no table.
select pg_notify($1, $2)
