-- Why: the facts. A bucket is replaced in place by a newer snapshot; a log of versions would double the cost. There are
-- no foreign keys on this hot table on purpose: verify reports orphans. source and model are collated "C", which is
-- Rust's byte order: batches sorted in another order deadlock.
-- Meaning of stored rows: none yet. Way back: drop the tables.
set local lock_timeout = '5s';

create table usage.bucket (
    user_id uuid not null,
    hour_start timestamptz not null,
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
    observed_at timestamptz not null,
    changed_at timestamptz not null,
    backfill_id uuid,
    stamped boolean not null,
    constraint bucket_pkey primary key (user_id, hour_start, device_id, source, model),
    constraint bucket_hour_start_is_half_hour check (extract(epoch from hour_start) % 1800 = 0),
    constraint bucket_hour_start_is_from_2020_on check (hour_start >= '2020-01-01T00:00:00Z'),
    constraint bucket_source_is_known check (source in (
        'claude-code', 'codex', 'every-code', 'gemini-cli', 'opencode', 'cursor', 'cline', 'roo-code', 'kilo-code',
        'copilot', 'qwen-code', 'aider', 'goose', 'amp', 'droid', 'kiro', 'api', 'other'
    )),
    constraint bucket_model_is_well_formed check (model ~ '^[A-Za-z0-9._:/@+-]{1,128}$'),
    constraint bucket_input_tokens_is_in_range check (input_tokens between 0 and 1000000000000),
    constraint bucket_cache_read_tokens_is_in_range check (cache_read_tokens between 0 and 1000000000000),
    constraint bucket_cache_write_5m_tokens_is_in_range check (cache_write_5m_tokens between 0 and 1000000000000),
    constraint bucket_cache_write_1h_tokens_is_in_range check (cache_write_1h_tokens between 0 and 1000000000000),
    constraint bucket_output_tokens_is_in_range check (output_tokens between 0 and 1000000000000),
    constraint bucket_reasoning_tokens_is_in_range check (reasoning_tokens between 0 and 1000000000000),
    constraint bucket_unclassified_tokens_is_in_range check (unclassified_tokens between 0 and 1000000000000),
    constraint bucket_request_count_is_in_range check (request_count between 0 and 1000000000000),
    constraint bucket_reasoning_is_part_of_output check (reasoning_tokens <= output_tokens)
) with (fillfactor = 90);
comment on table usage.bucket is 'Absolute usage of one user, device, source and model in one half hour: a snapshot, not a delta. The source of truth.';
comment on column usage.bucket.user_id is 'The owner.';
comment on column usage.bucket.hour_start is 'Start of the half hour, UTC, on :00 or :30, from 2020 on.';
comment on column usage.bucket.device_id is 'The device that measured it.';
comment on column usage.bucket.source is 'The tool, from the allowlist that the code shares.';
comment on column usage.bucket.model is 'The model''s name as the tool reports it.';
comment on column usage.bucket.input_tokens is 'Uncached input.';
comment on column usage.bucket.cache_read_tokens is 'Input served from a prompt cache.';
comment on column usage.bucket.cache_write_5m_tokens is 'Input written to a cache that lives 5 minutes.';
comment on column usage.bucket.cache_write_1h_tokens is 'Input written to a cache that lives 1 hour.';
comment on column usage.bucket.output_tokens is 'All output, including reasoning.';
comment on column usage.bucket.reasoning_tokens is 'The part of output_tokens that was reasoning; not added again.';
comment on column usage.bucket.unclassified_tokens is 'Tokens that a tool reports only as a total.';
comment on column usage.bucket.request_count is 'Model requests; 0 where the tool does not say.';
comment on column usage.bucket.total_tokens is 'Sum of the disjoint classes; reasoning is inside output.';
comment on column usage.bucket.observed_at is 'When the snapshot was taken: the greatest wins, at equal stamps the greater counts.';
comment on column usage.bucket.changed_at is 'When the counts last changed; tells updated from unchanged.';
comment on column usage.bucket.backfill_id is 'The backfill job whose correction stands; a tracker version that wins clears it.';
comment on column usage.bucket.stamped is 'True where the tracker (or a correction) took observed_at, false where it is the arrival time at the server.';

create table usage.outbox (
    user_id uuid not null,
    id bigint not null generated always as identity,
    topic text not null,
    utc_day date not null,
    first_hour timestamptz not null,
    last_hour timestamptz not null,
    lane text not null,
    request_id uuid not null,
    traceparent text,
    created_at timestamptz not null default transaction_timestamp(),
    attempts integer not null default 0,
    retry_at timestamptz,
    parked_at timestamptz,
    last_error text,
    constraint outbox_pkey primary key (user_id, id),
    constraint outbox_topic_is_known check (topic in ('bucket_changed')),
    constraint outbox_lane_is_known check (lane in ('live', 'bulk')),
    constraint outbox_hours_are_ordered check (first_hour <= last_hour),
    constraint outbox_attempts_is_not_negative check (attempts >= 0),
    constraint outbox_last_error_is_short check (char_length(last_error) <= 500)
) with (
    -- The table is nearly always almost empty and turns over all day: clean it by absolute counts, without pausing.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0
);
create index outbox_lane_id_idx on usage.outbox (lane, id);
create index outbox_parked_idx on usage.outbox (user_id) where parked_at is not null;
comment on table usage.outbox is 'Events: which half hours of which user changed, written in the transaction that changed them and deleted in the one that folded them.';
comment on column usage.outbox.user_id is 'Whose buckets changed.';
comment on column usage.outbox.id is 'Order of insertion, roughly: ids become visible out of order, so a reader names the ids it folds.';
comment on column usage.outbox.topic is 'What happened: bucket_changed.';
comment on column usage.outbox.utc_day is 'The UTC day of the changed half hours.';
comment on column usage.outbox.first_hour is 'The first half hour that changed on that day.';
comment on column usage.outbox.last_hour is 'The last half hour that changed on that day.';
comment on column usage.outbox.lane is 'live for trackers, bulk for backfills, so that a large backfill does not delay live folding.';
comment on column usage.outbox.request_id is 'The request or job step that caused it.';
comment on column usage.outbox.traceparent is 'W3C trace context of that request, if it had one.';
comment on column usage.outbox.created_at is 'Start of the transaction that changed the facts; the oldest bounds the rollup''s as_of.';
comment on column usage.outbox.attempts is 'How many folds failed through this event''s own data.';
comment on column usage.outbox.retry_at is 'Not before this time again; null when never failed.';
comment on column usage.outbox.parked_at is 'Since when the event is set aside after too many failures; null while it is live.';
comment on column usage.outbox.last_error is 'The last failure: its SQLSTATE and constraint, never row data.';

create table usage.erasure (
    user_id uuid not null,
    erasure_id uuid not null,
    erased_at timestamptz not null,
    device_id uuid,
    source text collate "C",
    first_hour timestamptz not null default '-infinity',
    last_hour timestamptz not null default 'infinity',
    constraint erasure_pkey primary key (user_id, erasure_id),
    constraint erasure_hours_are_ordered check (first_hour <= last_hour)
);
comment on table usage.erasure is 'Deletions by the owner, kept so that a late retry cannot bring the rows back.';
comment on column usage.erasure.user_id is 'The owner.';
comment on column usage.erasure.erasure_id is 'UUIDv7 of the deletion.';
comment on column usage.erasure.erased_at is 'Snapshots of the scope taken at or before this instant are refused as erased.';
comment on column usage.erasure.device_id is 'Only this device; null for all.';
comment on column usage.erasure.source is 'Only this source; null for all.';
comment on column usage.erasure.first_hour is 'First half hour of the scope.';
comment on column usage.erasure.last_hour is 'Last half hour of the scope.';

alter table usage.bucket enable row level security, force row level security;
alter table usage.outbox enable row level security, force row level security;
alter table usage.erasure enable row level security, force row level security;
create policy named_users on usage.bucket to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.bucket to halfhour_worker using (true) with check (true);
create policy named_users on usage.outbox to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.outbox to halfhour_worker using (true) with check (true);
create policy named_users on usage.erasure to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.erasure to halfhour_worker using (true) with check (true);

grant select, insert, update on usage.bucket to halfhour_api;
grant select, insert on usage.outbox to halfhour_api;
grant select on usage.erasure to halfhour_api;
grant select, insert, update, delete on usage.bucket, usage.outbox to halfhour_worker;
grant select on usage.erasure to halfhour_worker;
