-- Why: operators change history as jobs: planned, previewed, executed in steps that survive a crash, and rolled back.
-- Only the worker's role may touch these tables: no request of a tracker or a dashboard has business here.
-- Meaning of stored rows: unchanged. Way back: roll back what is to be undone, then drop the schema.
set local lock_timeout = '5s';

create schema backfill;
comment on schema backfill is 'Jobs that change history. Written only by the backfill slice.';
revoke all on schema backfill from public;
grant usage on schema backfill to halfhour_worker;

create table backfill.job (
    job_id uuid not null,
    action text not null,
    state text not null,
    version bigint not null default 1,
    reason text not null,
    first_day date not null,
    last_day date not null,
    user_ids uuid[],
    scope_hash bytea,
    fingerprint bytea,
    plan_hash text,
    inserted bigint not null default 0,
    raised bigint not null default 0,
    lowered bigint not null default 0,
    changed bigint not null default 0,
    unchanged bigint not null default 0,
    rollup_rows bigint not null default 0,
    tokens_before numeric(40, 0) not null default 0,
    tokens_after numeric(40, 0) not null default 0,
    total bigint not null default 0,
    done bigint not null default 0,
    cursor_user_id uuid,
    cursor_hour_start timestamptz,
    cursor_device_id uuid,
    cursor_source text collate "C",
    cursor_model text collate "C",
    poisoned bigint not null default 0,
    skipped bigint not null default 0,
    rollbacks integer not null default 0,
    reached bigint,
    drift jsonb,
    failure text,
    lease_token uuid,
    lease_until timestamptz,
    created_at timestamptz not null default transaction_timestamp(),
    executed_at timestamptz,
    finished_at timestamptz,
    purged_at timestamptz,
    constraint job_pkey primary key (job_id),
    constraint job_action_is_known check (action in ('import', 'replay', 'verify')),
    constraint job_state_is_known check (
        state in ('planning', 'planned', 'running', 'succeeded', 'failed', 'cancelled', 'rolling_back', 'rolled_back')
    ),
    constraint job_version_is_positive check (version > 0),
    constraint job_reason_is_short check (char_length(reason) between 1 and 500),
    constraint job_days_are_ordered check (first_day <= last_day),
    constraint job_user_ids_are_few check (cardinality(user_ids) between 1 and 1000),
    constraint job_scope_hash_is_sha256 check (octet_length(scope_hash) = 32),
    constraint job_fingerprint_is_sha256 check (octet_length(fingerprint) = 32),
    constraint job_done_is_within_total check (done between 0 and total),
    constraint job_failure_is_a_word check (failure ~ '^[a-z][a-z_]{0,63}$'),
    constraint job_only_imports_roll_back check (action = 'import' or rollbacks = 0)
) with (
    -- Updated twice a step: keep the row's versions on one page.
    fillfactor = 50
);
create unique index job_scope_hash_is_unique on backfill.job (scope_hash);
create index job_at_work_idx on backfill.job (job_id) where state in ('planning', 'running', 'rolling_back');
comment on table backfill.job is 'One change to history, or one look at it.';
comment on column backfill.job.job_id is 'UUIDv7 made by the server; also the backfill_id of its corrections and the request_id of its events.';
comment on column backfill.job.action is 'import buckets, replay a window into the rollups, or verify them.';
comment on column backfill.job.state is 'planning, planned, running, succeeded, failed, cancelled, rolling_back, rolled_back.';
comment on column backfill.job.version is 'Changes with the state and only then: what If-Match is compared with.';
comment on column backfill.job.reason is 'Why, in the operator''s words.';
comment on column backfill.job.first_day is 'First UTC day of the window.';
comment on column backfill.job.last_day is 'Last UTC day of the window, inclusive.';
comment on column backfill.job.user_ids is 'The users it is about; null for all.';
comment on column backfill.job.scope_hash is 'SHA-256 of principal, method, path and Idempotency-Key; null for commands without one.';
comment on column backfill.job.fingerprint is 'SHA-256 of the request that made the job; null until its body was read.';
comment on column backfill.job.plan_hash is 'A fingerprint of the plan''s rows and of what they replace; null while planning.';
comment on column backfill.job.inserted is 'Plan rows that have no bucket yet.';
comment on column backfill.job.raised is 'Plan rows with a greater total than their bucket.';
comment on column backfill.job.lowered is 'Plan rows with a smaller total than their bucket.';
comment on column backfill.job.changed is 'Plan rows with the same total in other classes.';
comment on column backfill.job.unchanged is 'Plan rows that say what their bucket says.';
comment on column backfill.job.rollup_rows is 'Rollup rows that the plan touches, by the users'' wanted zones.';
comment on column backfill.job.tokens_before is 'Total tokens of the buckets that the plan replaces.';
comment on column backfill.job.tokens_after is 'Total tokens of the plan''s rows.';
comment on column backfill.job.total is 'How many rows, or user-months, the job has; fixed when it is planned.';
comment on column backfill.job.done is 'How many of them the present phase has behind it: the cursor''s place, which only rises within a phase.';
comment on column backfill.job.cursor_user_id is 'The cursor: the key that was last stepped over; null at the beginning.';
comment on column backfill.job.cursor_hour_start is 'The cursor''s half hour; for replays and verifications the first instant of a month.';
comment on column backfill.job.cursor_device_id is 'The cursor''s device; imports only.';
comment on column backfill.job.cursor_source is 'The cursor''s tool; imports only.';
comment on column backfill.job.cursor_model is 'The cursor''s model; imports only.';
comment on column backfill.job.poisoned is 'Lines that were not acceptable, and rows that the database refused.';
comment on column backfill.job.skipped is 'Rows that had changed since the plan, and were left alone.';
comment on column backfill.job.rollbacks is 'How often a rollback was begun.';
comment on column backfill.job.reached is 'How far the execution had come when the first rollback began: a rollback goes no further.';
comment on column backfill.job.drift is 'What a verification found; null for other jobs.';
comment on column backfill.job.failure is 'Why it failed, in a word; null otherwise.';
comment on column backfill.job.lease_token is 'Who works on it: each worker makes its own. A stream that is being read holds one too.';
comment on column backfill.job.lease_until is 'Until when, by the database''s clock.';
comment on column backfill.job.created_at is 'When it was asked for.';
comment on column backfill.job.executed_at is 'Start of its execution: the stamp of its corrections.';
comment on column backfill.job.finished_at is 'When it reached its present end; null while it has work to do.';
comment on column backfill.job.purged_at is 'When its rows and pre-images were removed; it can no longer be executed or rolled back.';

-- No foreign keys to the job: they would be checked a million times, and jobs are never deleted.
create table backfill.plan_row (
    job_id uuid not null,
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
    seen_observed_at timestamptz,
    seen_input_tokens bigint,
    seen_cache_read_tokens bigint,
    seen_cache_write_5m_tokens bigint,
    seen_cache_write_1h_tokens bigint,
    seen_output_tokens bigint,
    seen_reasoning_tokens bigint,
    seen_unclassified_tokens bigint,
    seen_request_count bigint,
    constraint plan_row_pkey primary key (job_id, user_id, hour_start, device_id, source, model)
);
comment on table backfill.plan_row is 'One bucket that an import writes, and the version it replaces. Never changed, once it is staged.';
comment on column backfill.plan_row.job_id is 'The job.';
comment on column backfill.plan_row.user_id is 'The owner.';
comment on column backfill.plan_row.hour_start is 'Start of the half hour.';
comment on column backfill.plan_row.device_id is 'The device.';
comment on column backfill.plan_row.source is 'The tool.';
comment on column backfill.plan_row.model is 'The model.';
comment on column backfill.plan_row.input_tokens is 'What the bucket is to say.';
comment on column backfill.plan_row.cache_read_tokens is 'What the bucket is to say.';
comment on column backfill.plan_row.cache_write_5m_tokens is 'What the bucket is to say.';
comment on column backfill.plan_row.cache_write_1h_tokens is 'What the bucket is to say.';
comment on column backfill.plan_row.output_tokens is 'What the bucket is to say.';
comment on column backfill.plan_row.reasoning_tokens is 'What the bucket is to say.';
comment on column backfill.plan_row.unclassified_tokens is 'What the bucket is to say.';
comment on column backfill.plan_row.request_count is 'What the bucket is to say.';
comment on column backfill.plan_row.seen_observed_at is 'The stamp of the version that the plan saw; null where there was no bucket.';
comment on column backfill.plan_row.seen_input_tokens is 'What that version said; null where there was no bucket.';
comment on column backfill.plan_row.seen_cache_read_tokens is 'What that version said.';
comment on column backfill.plan_row.seen_cache_write_5m_tokens is 'What that version said.';
comment on column backfill.plan_row.seen_cache_write_1h_tokens is 'What that version said.';
comment on column backfill.plan_row.seen_output_tokens is 'What that version said.';
comment on column backfill.plan_row.seen_reasoning_tokens is 'What that version said.';
comment on column backfill.plan_row.seen_unclassified_tokens is 'What that version said.';
comment on column backfill.plan_row.seen_request_count is 'What that version said.';

create table backfill.exception (
    job_id uuid not null,
    exception_id bigint not null generated always as identity,
    kind text not null,
    line bigint,
    user_id uuid,
    hour_start timestamptz,
    device_id uuid,
    source text collate "C",
    model text collate "C",
    code text not null,
    constraint exception_pkey primary key (job_id, exception_id),
    constraint exception_kind_is_known check (kind in ('poisoned', 'skipped', 'kept')),
    constraint exception_code_is_short check (char_length(code) between 1 and 100),
    constraint exception_key_is_whole check (num_nulls(user_id, hour_start, device_id, source, model) in (0, 5))
);
create unique index exception_is_listed_once on backfill.exception
    (job_id, kind, user_id, hour_start, device_id, source, model) where line is null and user_id is not null;
comment on table backfill.exception is 'Rows of a job that did not go as planned: poisoned, skipped, or kept by a rollback. Never the line itself.';
comment on column backfill.exception.job_id is 'The job.';
comment on column backfill.exception.exception_id is 'The order in which they were found.';
comment on column backfill.exception.kind is 'poisoned: not acceptable; skipped: changed since the plan; kept: changed since the execution, so a rollback left it.';
comment on column backfill.exception.line is 'The line of the stream, from 1; null for what was found later.';
comment on column backfill.exception.user_id is 'The bucket''s owner; null where a line''s key could not be read.';
comment on column backfill.exception.hour_start is 'The bucket''s half hour.';
comment on column backfill.exception.device_id is 'The bucket''s device.';
comment on column backfill.exception.source is 'The bucket''s tool.';
comment on column backfill.exception.model is 'The bucket''s model.';
comment on column backfill.exception.code is 'What is wrong with it: a violation''s code, or the database''s SQLSTATE.';

alter table backfill.job enable row level security, force row level security;
alter table backfill.plan_row enable row level security, force row level security;
alter table backfill.exception enable row level security, force row level security;
create policy worker_handles_all on backfill.job to halfhour_worker using (true) with check (true);
create policy worker_handles_all on backfill.plan_row to halfhour_worker using (true) with check (true);
create policy worker_handles_all on backfill.exception to halfhour_worker using (true) with check (true);
grant select, insert, update on backfill.job to halfhour_worker;
grant select, insert, delete on backfill.plan_row to halfhour_worker;
grant select, insert, delete on backfill.exception to halfhour_worker;
