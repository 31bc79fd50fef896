-- Why: a machine that was installed anew, or whose name has changed, links itself as another device and sends its logs
-- again, and the account counts them twice. A merge is a job that moves the usage of one device of a user into another
-- one. It has two plan rows for each bucket that it moves: what the into-device is to say, and what the from-device loses.
-- Meaning of stored rows: unchanged. Two ranks are new, which nobody has written before: 3 is what the owner's merge has
-- decided, and outweighs what is on time; 4 is a moved bucket that was late and silent, and stays so although it has a
-- job's mark. An older release that still runs beside this one reads no job whose action is merge, and its
-- worker then fails to look for jobs: plan none until every server is upgraded.
-- Way back: roll the merges back; then drop the columns, put the checks back as they were in 0011, and usage.rank_of as it
-- was in 0019.
set local lock_timeout = '5s';

alter table backfill.job add column from_device_id uuid;
alter table backfill.job add column into_device_id uuid;
alter table backfill.job add column resolve text;
alter table backfill.job add column only_in_from bigint not null default 0;
alter table backfill.job add column only_in_into bigint not null default 0;
alter table backfill.job add column in_both_equal bigint not null default 0;
alter table backfill.job add column in_both_different bigint not null default 0;
alter table backfill.job add column carried_snapshots bigint;
alter table backfill.job add column carried_last_kept_at timestamptz;
alter table backfill.job add column into_last_kept_at timestamptz;
comment on column backfill.job.action is 'import buckets, replay a window into the rollups, verify them, or merge a device into another.';
comment on column backfill.job.from_device_id is 'Merges only: the device whose buckets are moved.';
comment on column backfill.job.into_device_id is 'Merges only: the device that gets them.';
comment on column backfill.job.resolve is 'Merges only: what a bucket is to say that both devices have with other counts: sum, larger, from or into; null where nobody has decided.';
comment on column backfill.job.only_in_from is 'Merges only: buckets that the from-device alone has.';
comment on column backfill.job.only_in_into is 'Merges only: buckets that the into-device alone has, which stay as they are.';
comment on column backfill.job.in_both_equal is 'Merges only: buckets that both have with the same counts, counted once.';
comment on column backfill.job.in_both_different is 'Merges only: buckets that both have with other counts.';
comment on column backfill.job.carried_snapshots is 'What the execution has taken from usage.kept of the from-device; null where there was nothing, and once it is given back.';
comment on column backfill.job.carried_last_kept_at is 'The same: when the last of them arrived.';
comment on column backfill.job.into_last_kept_at is 'What usage.kept said of the into-device before; null where it said nothing.';

alter table backfill.job drop constraint job_action_is_known;
alter table backfill.job
    add constraint job_action_is_known check (action in ('import', 'replay', 'verify', 'merge')) not valid;
alter table backfill.job drop constraint job_only_imports_roll_back;
alter table backfill.job
    add constraint job_only_changes_roll_back check (action in ('import', 'merge') or rollbacks = 0) not valid;
alter table backfill.job
    add constraint job_merge_has_two_devices check (
        (action = 'merge') = (from_device_id is not null and into_device_id is not null)
        and from_device_id <> into_device_id
    ) not valid;
alter table backfill.job
    add constraint job_merge_is_of_one_user check (action <> 'merge' or cardinality(user_ids) = 1) not valid;
alter table backfill.job
    add constraint job_resolve_is_known check (resolve in ('sum', 'larger', 'from', 'into')) not valid;

alter table backfill.plan_row add column pairing text;
alter table backfill.plan_row add column removes boolean not null default false;
alter table backfill.plan_row
    add constraint plan_row_pairing_is_known check (pairing in ('only_in_from', 'equal', 'different')) not valid;
comment on table backfill.plan_row is 'One bucket that an import or a merge writes, and the version it replaces; or one that a merge takes away. Never changed, once it is staged.';
comment on column backfill.plan_row.pairing is 'Merges only: whether the into-device has the bucket too, and says the same.';
comment on column backfill.plan_row.removes is 'Merges only: true for the row of the from-device, whose bucket goes.';
comment on column backfill.exception.kind is 'poisoned: not acceptable; skipped: changed since the plan; kept: changed since the execution, so a rollback left it.';

alter table usage.erasure add column backfill_id uuid;
comment on table usage.erasure is 'What takes no snapshots any more: what its owner has deleted, so that a late retry cannot bring the rows back, and devices that were merged into others.';
comment on column usage.erasure.backfill_id is 'The merge that left this record behind, and whose rollback removes it; null for deletions.';
grant insert, delete on usage.erasure to halfhour_worker;
grant insert, update, delete on usage.kept to halfhour_worker;

create or replace function usage.rank_of(rank smallint, hour_start timestamptz, observed_at timestamptz, is_correction boolean)
returns smallint
language sql immutable parallel safe
return case
    when rank = 3 then 2::smallint
    when observed_at - hour_start <= interval '25 days 30 minutes' then 1::smallint
    when rank = 2 or (is_correction and rank <> 4) then 2::smallint
    else 0::smallint
end;
comment on function usage.rank_of(smallint, timestamptz, timestamptz, boolean) is
    'The rank of a stored version, whichever release wrote it. On time is what was taken up to 25 days after the end of its half hour, unless a merge has decided. Corrections rank as if they retracted, but for moved buckets, which keep their rank.';
alter table usage.bucket drop constraint bucket_rank_is_known;
alter table usage.bucket add constraint bucket_rank_is_known check (rank between 0 and 4) not valid;
comment on column usage.bucket.rank is
    'Which snapshots outweigh which: 2 late and retracting, 1 on time, 0 late and silent; 3 decided by a merge, which compares as 2, and 4 moved by one, late and silent, which compares as 0. The default stands for a row of a release that knew no ranks: read it through usage.rank_of.';
