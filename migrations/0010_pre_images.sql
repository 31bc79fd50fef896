-- Why: an operator's correction replaces a bucket in place, and must be undone to the letter. What it replaces is kept
-- here, and what trackers still send while the correction stands is merged in here by the rule of versions, so that
-- nothing acknowledged is lost and a rollback restores the newest of it.
-- Meaning of stored rows: unchanged. Way back: roll back the jobs that are to be undone, then drop the table.
set local lock_timeout = '5s';

create table usage.pre_image (
    user_id uuid not null,
    hour_start timestamptz not null,
    device_id uuid not null,
    source text collate "C" not null,
    model text collate "C" not null,
    backfill_id uuid not null,
    input_tokens bigint not null,
    cache_read_tokens bigint not null,
    cache_write_5m_tokens bigint not null,
    cache_write_1h_tokens bigint not null,
    output_tokens bigint not null,
    reasoning_tokens bigint not null,
    unclassified_tokens bigint not null,
    request_count bigint not null,
    observed_at timestamptz not null,
    stamped boolean not null,
    prior_backfill_id uuid,
    constraint pre_image_pkey primary key (user_id, hour_start, device_id, source, model, backfill_id),
    constraint pre_image_is_not_of_its_own_job check (prior_backfill_id <> backfill_id)
);
create index pre_image_backfill_id_idx on usage.pre_image (backfill_id);
create index pre_image_prior_backfill_id_idx on usage.pre_image (prior_backfill_id) where prior_backfill_id is not null;
comment on table usage.pre_image is 'What a standing correction hides: the version of the bucket without it. No row where there was no bucket.';
comment on column usage.pre_image.user_id is 'The owner.';
comment on column usage.pre_image.hour_start is 'Start of the half hour.';
comment on column usage.pre_image.device_id is 'The device.';
comment on column usage.pre_image.source is 'The tool.';
comment on column usage.pre_image.model is 'The model.';
comment on column usage.pre_image.backfill_id is 'The job whose correction hides it.';
comment on column usage.pre_image.input_tokens is 'As in usage.bucket.';
comment on column usage.pre_image.cache_read_tokens is 'As in usage.bucket.';
comment on column usage.pre_image.cache_write_5m_tokens is 'As in usage.bucket.';
comment on column usage.pre_image.cache_write_1h_tokens is 'As in usage.bucket.';
comment on column usage.pre_image.output_tokens is 'As in usage.bucket.';
comment on column usage.pre_image.reasoning_tokens is 'As in usage.bucket.';
comment on column usage.pre_image.unclassified_tokens is 'As in usage.bucket.';
comment on column usage.pre_image.request_count is 'As in usage.bucket.';
comment on column usage.pre_image.observed_at is 'The stamp of this version: a rollback restores it too.';
comment on column usage.pre_image.stamped is 'As in usage.bucket.';
comment on column usage.pre_image.prior_backfill_id is 'The older job whose correction this version is; null for a tracker''s.';

alter table usage.pre_image enable row level security, force row level security;
create policy named_users on usage.pre_image to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.pre_image to halfhour_worker using (true) with check (true);
grant select, insert, update, delete on usage.pre_image to halfhour_api;
grant select, insert, update, delete on usage.pre_image to halfhour_worker;
