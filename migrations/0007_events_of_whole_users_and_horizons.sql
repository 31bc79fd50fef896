-- Why: events that touch more than a day (a change of zone, a replay, an erasure) take effect through the outbox, too;
-- those that touch a whole user stand in a lane of their own, of which a round takes a few. And retention leaves behind,
-- for each user, the half hour before which nothing is taken any more: the writer's statement reads it.
-- Meaning of stored rows: unchanged. The checks are replaced by wider ones, not valid until 0008. The index is built in
-- the transaction, because the outbox is nearly always empty.
-- Way back: fold what waits in the new topics, then put the old checks back, drop the columns, the index and the table.
set local lock_timeout = '5s';

alter table usage.outbox
    add column device_id uuid,
    add column source text collate "C",
    drop constraint outbox_topic_is_known,
    drop constraint outbox_lane_is_known,
    add constraint outbox_topic_is_known check (topic in ('bucket_changed', 'rebuild', 'replay', 'erased')) not valid,
    add constraint outbox_lane_is_known check (lane in ('live', 'bulk', 'whole')) not valid;
create index outbox_retry_idx on usage.outbox (retry_at) where retry_at is not null and parked_at is null;
comment on column usage.outbox.topic is 'What happened: bucket_changed; rebuild, the user wants another zone; replay, days are to be folded again; erased, the owner removed buckets.';
comment on column usage.outbox.utc_day is 'The UTC day of the first half hour; where that has no bound, the day of the event.';
comment on column usage.outbox.first_hour is 'The first half hour that it is about; -infinity for all before the last.';
comment on column usage.outbox.last_hour is 'The last half hour that it is about; infinity for all from the first on.';
comment on column usage.outbox.lane is 'live for trackers, bulk for backfills, so that a large backfill does not delay live folding; whole for what touches a whole user.';
comment on column usage.outbox.device_id is 'For erased: only this device; null for all.';
comment on column usage.outbox.source is 'For erased: only this source; null for all.';

create table usage.horizon (
    user_id uuid not null,
    first_hour timestamptz not null,
    constraint horizon_pkey primary key (user_id),
    constraint horizon_first_hour_is_half_hour check (extract(epoch from first_hour) % 1800 = 0)
);
comment on table usage.horizon is 'From when on a user''s buckets are kept. Raised by retention before it removes any, under a lock that waits for writers who did not see it.';
comment on column usage.horizon.user_id is 'The owner.';
comment on column usage.horizon.first_hour is 'Half hours before this one are refused as before_retention_horizon. It never moves back.';

alter table usage.horizon enable row level security, force row level security;
create policy named_users on usage.horizon for select to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.horizon to halfhour_worker using (true) with check (true);
grant select on usage.horizon to halfhour_api;
grant select, insert, update on usage.horizon to halfhour_worker;
