-- Why: a vacuum that finds the end of a table empty cuts it off, under a lock that every post waits for. The outbox empties
-- itself all the time and fills again, and so do the idempotency records: they keep their pages for what comes next.
-- Meaning of stored rows: unchanged. Way back: reset the parameter.
set local lock_timeout = '5s';

alter table usage.outbox set (vacuum_truncate = off);
alter table usage.idempotency set (vacuum_truncate = off);
