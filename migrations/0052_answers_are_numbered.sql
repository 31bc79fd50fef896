-- Why: a device keeps its newest thousand answers. To find those beyond, each keyed post looked through all thousand of
-- its device. Answers to posts are now numbered for each device, so that a look at the newest and the oldest is enough.
-- Meaning of stored rows: unchanged. Answers that stand, and those that a process of the release before records, have no
-- number. As long as a device has such answers, which is a day at most, all of its answers are looked through.
-- Way back: drop the column.
set local lock_timeout = '5s';

alter table usage.idempotency add column number bigint;
comment on column usage.idempotency.number is 'Of a post: its place among those of the device. Null for other requests, and where a release before recorded it.';
