-- Why: one relay at a time folded the events of everybody. Events now stand in 64 parts, by the last six bits of their
-- user's id, and relays that fold different parts go on beside each other. All events of a user are in one part.
-- Meaning of stored rows: unchanged. Events that wait get their part. The table is written anew for that, which takes a few
-- seconds for a million of them. It is nearly always almost empty. The number of parts is fixed for good: a process that
-- counts other parts would fold a user beside one that does not.
-- Way back: drop the indexes and the column, and make those again that 0051 drops.
set local lock_timeout = '5s';

alter table usage.outbox
    add column part smallint not null generated always as ((get_byte(uuid_send(user_id), 15) & 63)::smallint) stored;
create index outbox_lane_part_id_idx on usage.outbox (lane, part, id);
create index outbox_lane_part_retry_idx on usage.outbox (lane, part, retry_at)
    where retry_at is not null and parked_at is null;
comment on column usage.outbox.part is 'One of 64 parts: the last six bits of the user''s id. Whoever holds the fold lock of a part folds its events.';
