-- Why: OpenTelemetry tells of single requests to a model, and nobody adds them up before they are here. So there are devices
-- whose records are added to their buckets, each record once, and a ledger of the records that were added. A snapshot
-- would replace such a sum, and a sum would grow on top of a snapshot, so a device does one or the other for ever.
-- Who decides is the primary key of usage.device_kind: the first post of a device inserts the row, another one that came at
-- the same moment waits for it and reads it, and no request may change it.
-- The ledger's hash is stored as a uuid, which takes 16 bytes and nothing more.
-- Meaning of stored rows: unchanged. A device without a row has not posted since this release; one that has buckets is
-- decided as snapshotting by its next post. An older release that still runs beside this one does not look at the kind:
-- send OpenTelemetry only when every server is upgraded.
-- Way back: put account.authenticate back as it was in 0009, and drop both tables. Buckets of counting devices stay as
-- they are.
set local lock_timeout = '5s';

create table usage.device_kind (
    user_id uuid not null,
    device_id uuid not null,
    counts boolean not null,
    constraint device_kind_pkey primary key (user_id, device_id)
);
comment on table usage.device_kind is 'Whether a device counts or takes snapshots. Its first post decides, and no row ever changes.';
comment on column usage.device_kind.user_id is 'The owner.';
comment on column usage.device_kind.device_id is 'The device.';
comment on column usage.device_kind.counts is 'True where its records are added to its buckets, false where its snapshots replace them.';

create table usage.ledger (
    user_id uuid not null,
    hour_start timestamptz not null,
    record_hash uuid not null,
    device_id uuid not null,
    source text collate "C" not null,
    constraint ledger_pkey primary key (user_id, hour_start, record_hash),
    constraint ledger_source_is_well_formed check (
        octet_length(source) between 1 and 64 and source !~ '^[._-]|[^a-z0-9._-]'
    )
);
create index ledger_hour_start_idx on usage.ledger (hour_start);
comment on table usage.ledger is 'Records that were added to buckets, so that none is added twice. A row is kept for 31 days after its half hour, and no older record is taken.';
comment on column usage.ledger.user_id is 'The owner.';
comment on column usage.ledger.hour_start is 'The half hour of the bucket that it was added to.';
comment on column usage.ledger.record_hash is 'The first 128 bits of SHA-256 of what tells the record from every other one.';
comment on column usage.ledger.device_id is 'The device that sent it first.';
comment on column usage.ledger.source is 'The tool.';
comment on index usage.ledger_hour_start_idx is 'For the removal of what is too old to be sent again.';

alter table usage.device_kind enable row level security, force row level security;
alter table usage.ledger enable row level security, force row level security;
create policy named_users on usage.device_kind to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.device_kind to halfhour_worker using (true) with check (true);
create policy definer on usage.device_kind for select to halfhour_auth using (true);
create policy named_users on usage.ledger to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on usage.ledger to halfhour_worker using (true) with check (true);

grant usage on schema usage to halfhour_auth;
grant select, insert on usage.device_kind to halfhour_api;
grant select, delete on usage.device_kind to halfhour_worker;
grant select on usage.device_kind to halfhour_auth;
grant select, insert, delete on usage.ledger to halfhour_api;
grant select, delete on usage.ledger to halfhour_worker;

-- A server learns what a device does together with whose token it is. Another result is another function.
grant create on schema account to halfhour_auth;
set local role halfhour_auth;
drop function account.authenticate(bytea);
create function account.authenticate(hash bytea)
returns table (token_id uuid, kind text, user_id uuid, device_id uuid, counts boolean)
language sql stable security definer
set search_path = ''
begin atomic
    select t.token_id, t.kind, t.user_id, t.device_id, k.counts
    from account.token t
    join account.user u on u.user_id = t.user_id and u.revoked_at is null
    left join account.device d on d.user_id = t.user_id and d.device_id = t.device_id
    left join usage.device_kind k on k.user_id = t.user_id and k.device_id = t.device_id
    where t.token_hash = hash
      and t.revoked_at is null
      and (t.expires_at is null or t.expires_at > transaction_timestamp())
      and d.revoked_at is null;
end;
revoke all on function account.authenticate(bytea) from public;
grant execute on function account.authenticate(bytea) to halfhour_api;
comment on function account.authenticate(bytea) is
    'The principal behind a token''s SHA-256, or no row: unknown, revoked, expired, or its user or device is revoked. counts is null for a device that has not posted yet, and for tokens of no device.';
reset role;
revoke create on schema account from halfhour_auth;
