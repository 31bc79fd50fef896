-- Why: a request that is repeated with its Idempotency-Key gets its first answer again. The record is written in the
-- transaction that executes the request, so that there is never one without the other.
-- Meaning of stored rows: unchanged. Way back: drop the table; repeated requests are then executed again, which is safe.
set local lock_timeout = '5s';

create table usage.idempotency (
    user_id uuid not null,
    scope_hash bytea not null,
    device_id uuid not null,
    fingerprint bytea not null,
    request_id uuid not null,
    verdicts bytea not null,
    rejections text,
    created_at timestamptz not null default transaction_timestamp(),
    constraint idempotency_pkey primary key (user_id, scope_hash),
    constraint idempotency_scope_hash_is_sha256 check (octet_length(scope_hash) = 32),
    constraint idempotency_fingerprint_is_sha256 check (octet_length(fingerprint) = 32),
    constraint idempotency_verdicts_fit_a_request check (octet_length(verdicts) <= 500)
) with (
    -- Every row is deleted after a day: clean by absolute counts.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000
);
create index idempotency_newest_idx on usage.idempotency (user_id, device_id, created_at);
create index idempotency_created_at_idx on usage.idempotency (created_at);
comment on table usage.idempotency is 'Answers to executed requests that carried an Idempotency-Key, for 24 hours, at most 1000 a device.';
comment on column usage.idempotency.user_id is 'The owner.';
comment on column usage.idempotency.scope_hash is 'SHA-256 of principal, method, path and key.';
comment on column usage.idempotency.device_id is 'The device that asked.';
comment on column usage.idempotency.fingerprint is 'SHA-256 of the decompressed body, media type, query and Prefer: another one under the same key is refused.';
comment on column usage.idempotency.request_id is 'The request that was executed; its answer names it.';
comment on column usage.idempotency.verdicts is 'A byte a bucket, in the order of the request.';
comment on column usage.idempotency.rejections is 'The rejections of a lenient request as JSON, byte for byte; null where there were none.';
comment on column usage.idempotency.created_at is 'When it was executed; after 24 hours the record is removed.';

alter table usage.idempotency enable row level security, force row level security;
create policy named_users on usage.idempotency to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.idempotency to halfhour_worker using (true) with check (true);
grant select, insert, update, delete on usage.idempotency to halfhour_api;
grant select, delete on usage.idempotency to halfhour_worker;
