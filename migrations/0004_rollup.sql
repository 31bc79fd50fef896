-- Why: what dashboards read. rollup.daily = fold(usage.bucket), always rebuildable, and without timestamps, so that a
-- replay gives the same rows.
-- Meaning of stored rows: none yet. Way back: drop the tables; the relay refills them from a replay.
set local lock_timeout = '5s';

create table rollup.daily (
    user_id uuid not null,
    day date not null,
    device_id uuid not null,
    source text collate "C" not null,
    model text collate "C" not null,
    input_tokens bigint not null,
    cache_read_tokens bigint not null,
    cache_write_5m_tokens bigint not null,
    cache_write_1h_tokens bigint not null,
    output_tokens bigint not null,
    reasoning_tokens bigint not null,
    unclassified_tokens bigint not null,
    request_count bigint not null,
    total_tokens bigint not null generated always as (
        input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens + output_tokens + unclassified_tokens
    ) stored,
    bucket_count bigint not null,
    constraint daily_pkey primary key (user_id, day, device_id, source, model),
    constraint daily_input_tokens_is_not_negative check (input_tokens >= 0),
    constraint daily_cache_read_tokens_is_not_negative check (cache_read_tokens >= 0),
    constraint daily_cache_write_5m_tokens_is_not_negative check (cache_write_5m_tokens >= 0),
    constraint daily_cache_write_1h_tokens_is_not_negative check (cache_write_1h_tokens >= 0),
    constraint daily_output_tokens_is_not_negative check (output_tokens >= 0),
    constraint daily_reasoning_tokens_is_not_negative check (reasoning_tokens >= 0),
    constraint daily_unclassified_tokens_is_not_negative check (unclassified_tokens >= 0),
    constraint daily_request_count_is_not_negative check (request_count >= 0),
    constraint daily_reasoning_is_part_of_output check (reasoning_tokens <= output_tokens),
    constraint daily_bucket_count_is_positive check (bucket_count > 0)
) with (fillfactor = 90);
comment on table rollup.daily is 'Sums of the buckets of one local day, by device, source and model.';
comment on column rollup.daily.user_id is 'The owner.';
comment on column rollup.daily.day is 'Local date of hour_start in the zone that rollup.user_state records.';
comment on column rollup.daily.device_id is 'The device.';
comment on column rollup.daily.source is 'The tool.';
comment on column rollup.daily.model is 'The model.';
comment on column rollup.daily.input_tokens is 'Sum of usage.bucket.input_tokens.';
comment on column rollup.daily.cache_read_tokens is 'Sum of usage.bucket.cache_read_tokens.';
comment on column rollup.daily.cache_write_5m_tokens is 'Sum of usage.bucket.cache_write_5m_tokens.';
comment on column rollup.daily.cache_write_1h_tokens is 'Sum of usage.bucket.cache_write_1h_tokens.';
comment on column rollup.daily.output_tokens is 'Sum of usage.bucket.output_tokens.';
comment on column rollup.daily.reasoning_tokens is 'Sum of usage.bucket.reasoning_tokens.';
comment on column rollup.daily.unclassified_tokens is 'Sum of usage.bucket.unclassified_tokens.';
comment on column rollup.daily.request_count is 'Sum of usage.bucket.request_count.';
comment on column rollup.daily.total_tokens is 'Sum of the disjoint classes, as in usage.bucket.';
comment on column rollup.daily.bucket_count is 'How many buckets were summed.';

create table rollup.user_state (
    user_id uuid not null,
    time_zone text not null,
    version bigint not null,
    frozen_before date,
    constraint user_state_pkey primary key (user_id),
    constraint user_state_version_is_not_negative check (version >= 0)
);
comment on table rollup.user_state is 'What a user''s rollup is in.';
comment on column rollup.user_state.user_id is 'The owner.';
comment on column rollup.user_state.time_zone is 'The IANA zone whose local days rollup.daily holds.';
comment on column rollup.user_state.version is 'Rises only when a fold changed a row.';
comment on column rollup.user_state.frozen_before is 'Days before this one are past retention and never touched again; null where nothing was removed.';

alter table rollup.daily enable row level security, force row level security;
alter table rollup.user_state enable row level security, force row level security;
create policy named_users on rollup.daily for select to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on rollup.daily to halfhour_worker using (true) with check (true);
create policy named_users on rollup.user_state for select to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on rollup.user_state to halfhour_worker using (true) with check (true);

grant select on rollup.daily, rollup.user_state to halfhour_api;
grant select, insert, update, delete on rollup.daily, rollup.user_state to halfhour_worker;
