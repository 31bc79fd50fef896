-- Why: tools delete their own logs. A tracker that scans them again afterwards sees less, and by the later observed_at its
-- snapshot replaced what had been used. A snapshot that is taken more than 25 days after its half hour, and does not say
-- that it retracts, now has a lower rank than one that was taken in time, and among its like the larger total wins.
-- Meaning of stored rows: unchanged. The columns are added without touching a row. What stands was written by a release
-- that knew no ranks, and an older release that still runs beside this one goes on writing so. Such a row has the default.
-- So no statement trusts the column alone: usage.rank_of takes from it only whether a late snapshot retracts, and finds
-- everything else in the row. That gives every row the rank that it would have had.
-- Way back: return to the release before this one, which writes rows without the columns; then drop them, the functions
-- and usage.kept.
set local lock_timeout = '5s';

alter table usage.bucket add column rank smallint not null default 1;
alter table usage.bucket add constraint bucket_rank_is_known check (rank between 0 and 2) not valid;
comment on column usage.bucket.rank is
    'Which snapshots outweigh which: 2 late and retracting, 1 on time, 0 late and silent. The default stands for a row of a release that knew no ranks: read it through usage.rank_of.';
alter table usage.pre_image add column rank smallint not null default 1;
comment on column usage.pre_image.rank is 'As in usage.bucket. A rollback restores it, too.';
comment on column usage.bucket.observed_at is
    'When the snapshot was taken. Of two snapshots the one of the higher rank wins. Within ranks 1 and 2 the later one does, and at equal stamps the one with the greater counts. Within rank 0 the one with the larger total does, then the one with the greater counts, then the later one.';

-- The planner writes these bodies into the statement, as it does with those of 0017.
create function usage.rank_of(rank smallint, hour_start timestamptz, observed_at timestamptz, is_correction boolean)
returns smallint
language sql immutable parallel safe
return case
    when observed_at - hour_start <= interval '25 days 30 minutes' then 1::smallint
    when rank = 2 or is_correction then 2::smallint
    else 0::smallint
end;
comment on function usage.rank_of(smallint, timestamptz, timestamptz, boolean) is
    'The rank of a stored version, whichever release wrote it. On time is what was taken up to 25 days after the end of its half hour. Corrections rank as if they retracted.';

create function usage.version_instant(rank smallint, observed_at timestamptz) returns timestamptz
language sql immutable parallel safe
return case when rank = 0 then '-infinity'::timestamptz else observed_at end;
comment on function usage.version_instant(smallint, timestamptz) is
    'What is compared next to the rank: the stamp, which says nothing yet where a snapshot is late and silent.';

create function usage.version_total(rank smallint, total_tokens bigint) returns bigint
language sql immutable parallel safe
return case when rank = 0 then total_tokens else 0::bigint end;
comment on function usage.version_total(smallint, bigint) is
    'What is compared after usage.version_instant: the total, which decides only where a snapshot is late and silent.';

revoke all on function usage.rank_of(smallint, timestamptz, timestamptz, boolean) from public;
revoke all on function usage.version_instant(smallint, timestamptz) from public;
revoke all on function usage.version_total(smallint, bigint) from public;
grant execute on function usage.rank_of(smallint, timestamptz, timestamptz, boolean) to halfhour_api, halfhour_worker;
grant execute on function usage.version_instant(smallint, timestamptz) to halfhour_api, halfhour_worker;
grant execute on function usage.version_total(smallint, bigint) to halfhour_api, halfhour_worker;

create table usage.kept (
    user_id uuid not null,
    device_id uuid not null,
    snapshots bigint not null,
    last_kept_at timestamptz not null,
    constraint kept_pkey primary key (user_id, device_id),
    constraint kept_snapshots_is_positive check (snapshots > 0)
);
comment on table usage.kept is
    'How often a device has reported less for an old half hour than was reported in time. Its tool deletes logs. Written only by posts in which that happens.';
comment on column usage.kept.user_id is 'The owner.';
comment on column usage.kept.device_id is 'The device.';
comment on column usage.kept.snapshots is 'How many of its snapshots got the verdict kept.';
comment on column usage.kept.last_kept_at is 'When the last of them arrived.';
alter table usage.kept enable row level security, force row level security;
create policy named_users on usage.kept to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.kept to halfhour_worker using (true) with check (true);
grant select, insert, update on usage.kept to halfhour_api;
grant select on usage.kept to halfhour_worker;
