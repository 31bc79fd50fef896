-- Why: who may write and read. Secrets are stored only as SHA-256; rows are revoked, never deleted, so that history
-- keeps its names. On Citus these are reference tables (a unique token hash cannot contain user_id).
-- Meaning of stored rows: none yet. Way back: drop the tables and functions.
set local lock_timeout = '5s';

create table account.user (
    user_id uuid not null,
    name text not null,
    time_zone text not null default 'UTC',
    created_at timestamptz not null default transaction_timestamp(),
    revoked_at timestamptz,
    constraint user_pkey primary key (user_id),
    constraint user_name_is_1_to_100_characters check (char_length(name) between 1 and 100),
    constraint user_name_has_no_control_characters check (name !~ '[[:cntrl:]]'),
    constraint user_time_zone_is_short check (char_length(time_zone) between 1 and 64)
);
create unique index user_name_is_unique_while_active on account.user (name) where revoked_at is null;
comment on table account.user is 'A person, or an organisation, that owns buckets.';
comment on column account.user.user_id is 'UUIDv7 made by the server.';
comment on column account.user.name is 'Chosen by the operator; unique among users that are not revoked.';
comment on column account.user.time_zone is 'The wanted IANA zone, a name in pg_timezone_names; rollup.user_state says which zone the rollup is in.';
comment on column account.user.created_at is 'When the user was created.';
comment on column account.user.revoked_at is 'Since when the user may do nothing; null while active.';

create table account.device (
    user_id uuid not null,
    device_id uuid not null,
    name text not null,
    platform text not null default 'unknown',
    created_at timestamptz not null default transaction_timestamp(),
    revoked_at timestamptz,
    constraint device_pkey primary key (user_id, device_id),
    constraint device_belongs_to_user foreign key (user_id) references account.user (user_id),
    constraint device_name_is_1_to_100_characters check (char_length(name) between 1 and 100),
    constraint device_name_has_no_control_characters check (name !~ '[[:cntrl:]]'),
    constraint device_platform_is_1_to_40_characters check (char_length(platform) between 1 and 40)
);
create unique index device_name_is_unique_while_active on account.device (user_id, name) where revoked_at is null;
comment on table account.device is 'A machine on which a tracker runs.';
comment on column account.device.user_id is 'The owner.';
comment on column account.device.device_id is 'UUIDv7 made by the server; part of the key of every bucket of this device.';
comment on column account.device.name is 'Chosen by the owner; unique among the owner''s devices that are not revoked.';
comment on column account.device.platform is 'What the tracker says of its operating system, for people to read.';
comment on column account.device.created_at is 'When the device was registered.';
comment on column account.device.revoked_at is 'Since when the device may not post; null while active. Its buckets stay.';

create table account.token (
    token_hash bytea not null,
    token_id uuid not null,
    kind text not null,
    user_id uuid not null,
    device_id uuid,
    created_at timestamptz not null default transaction_timestamp(),
    revoked_at timestamptz,
    last_used_at timestamptz,
    constraint token_pkey primary key (token_hash),
    constraint token_id_is_unique unique (token_id),
    constraint token_belongs_to_user foreign key (user_id) references account.user (user_id),
    constraint token_belongs_to_device foreign key (user_id, device_id) references account.device (user_id, device_id),
    constraint token_hash_is_sha256 check (octet_length(token_hash) = 32),
    constraint token_kind_is_known check (kind in ('device', 'viewer', 'operator')),
    constraint token_names_a_device_iff_it_is_a_device_token check ((kind = 'device') = (device_id is not null))
);
create index token_user_id_idx on account.token (user_id);
comment on table account.token is 'Opaque bearer tokens. The token itself is shown once and never stored.';
comment on column account.token.token_hash is 'SHA-256 of the whole token text.';
comment on column account.token.token_id is 'UUIDv7 by which people and logs speak of a token.';
comment on column account.token.kind is 'The principal it makes: device writes its buckets, viewer reads its user, operator runs operations.';
comment on column account.token.user_id is 'Whose token it is; for an operator token, the person who operates.';
comment on column account.token.device_id is 'The device, for device tokens only.';
comment on column account.token.created_at is 'When the token was issued.';
comment on column account.token.revoked_at is 'Since when the token is refused; null while active.';
comment on column account.token.last_used_at is 'Roughly when it was last used: written lazily, never on a request''s path.';

create table account.link_code (
    code_hash bytea not null,
    user_id uuid not null,
    created_at timestamptz not null default transaction_timestamp(),
    expires_at timestamptz not null,
    used_at timestamptz,
    request_hash bytea,
    device_id uuid,
    constraint link_code_pkey primary key (code_hash),
    constraint link_code_belongs_to_user foreign key (user_id) references account.user (user_id),
    constraint link_code_belongs_to_device foreign key (user_id, device_id) references account.device (user_id, device_id),
    constraint link_code_hash_is_sha256 check (octet_length(code_hash) = 32),
    constraint link_code_request_hash_is_sha256 check (octet_length(request_hash) = 32),
    constraint link_code_lives_at_most_a_day check (expires_at > created_at and expires_at <= created_at + interval '1 day'),
    constraint link_code_use_is_whole check (
        (used_at is null) = (device_id is null) and (used_at is null) = (request_hash is null)
    )
);
create index link_code_user_id_idx on account.link_code (user_id);
comment on table account.link_code is 'Single-use codes by which a new device gets its token without anyone copying a secret.';
comment on column account.link_code.code_hash is 'SHA-256 of the code; the code itself is shown once.';
comment on column account.link_code.user_id is 'The user the new device will belong to.';
comment on column account.link_code.created_at is 'When the code was made.';
comment on column account.link_code.expires_at is 'From when on the code is refused.';
comment on column account.link_code.used_at is 'When it was exchanged; null while unused.';
comment on column account.link_code.request_hash is 'SHA-256 of the request_id that exchanged it: the same request_id gets the same token again.';
comment on column account.link_code.device_id is 'The device that the exchange made.';

-- Row-level security. FORCE binds the owner too. The setting reads '' after a transaction and NULL before the first:
-- both name nobody.
alter table account.user enable row level security, force row level security;
alter table account.device enable row level security, force row level security;
alter table account.token enable row level security, force row level security;
alter table account.link_code enable row level security, force row level security;

create policy named_users on account.user to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy named_users on account.device to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy named_users on account.token to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy named_users on account.link_code to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));

create policy worker_reads_all on account.user for select to halfhour_worker using (true);
create policy worker_reads_all on account.device for select to halfhour_worker using (true);
create policy worker_reads_all on account.token for select to halfhour_worker using (true);

create policy definer on account.user for select to halfhour_auth using (true);
create policy definer on account.device to halfhour_auth using (true) with check (true);
create policy definer on account.token to halfhour_auth using (true) with check (true);
create policy definer on account.link_code to halfhour_auth using (true) with check (true);

grant select, insert, update on account.user, account.device, account.token, account.link_code to halfhour_api;
grant select on account.user, account.device, account.token to halfhour_worker;
grant select on account.user to halfhour_auth;
grant select, insert on account.device, account.token to halfhour_auth;
grant select, update on account.link_code to halfhour_auth;

create function account.authenticate(hash bytea)
returns table (token_id uuid, kind text, user_id uuid, device_id uuid)
language sql stable security definer
set search_path = ''
begin atomic
    select t.token_id, t.kind, t.user_id, t.device_id
    from account.token t
    join account.user u on u.user_id = t.user_id and u.revoked_at is null
    left join account.device d on d.user_id = t.user_id and d.device_id = t.device_id
    where t.token_hash = hash
      and t.revoked_at is null
      and d.revoked_at is null;
end;
comment on function account.authenticate(bytea) is
    'The principal behind a token''s SHA-256, or no row: unknown, revoked, or its user or device is revoked.';

create function account.exchange(
    code bytea, request bytea, token bytea,
    new_device_id uuid, new_token_id uuid, device_name text, device_platform text, at timestamptz
)
returns table (outcome text, user_id uuid, device_id uuid)
language plpgsql security definer
set search_path = ''
as $$
declare
    found_code account.link_code;
begin
    -- The row lock makes sixteen exchanges of one code take their turns.
    select c.* into found_code from account.link_code c where c.code_hash = code for update;
    if not found then
        return query select 'unknown'::text, null::uuid, null::uuid;
    elsif found_code.used_at is not null and found_code.request_hash = request then
        return query select 'replayed'::text, found_code.user_id, found_code.device_id;
    elsif found_code.used_at is not null then
        return query select 'used'::text, null::uuid, null::uuid;
    elsif found_code.expires_at <= at then
        return query select 'expired'::text, null::uuid, null::uuid;
    elsif not exists (
        select from account.user u where u.user_id = found_code.user_id and u.revoked_at is null
    ) then
        return query select 'unknown'::text, null::uuid, null::uuid;
    else
        insert into account.device (user_id, device_id, name, platform)
        values (found_code.user_id, new_device_id, device_name, device_platform);
        insert into account.token (token_hash, token_id, kind, user_id, device_id)
        values (token, new_token_id, 'device', found_code.user_id, new_device_id);
        update account.link_code c
        set used_at = at, request_hash = request, device_id = new_device_id
        where c.code_hash = code;
        return query select 'exchanged'::text, found_code.user_id, new_device_id;
    end if;
end
$$;
comment on function account.exchange(bytea, bytea, bytea, uuid, uuid, text, text, timestamptz) is
    'Turns a link code into a device and its token, once. outcome: exchanged, replayed (the same request again), used, expired, unknown. All secrets arrive as SHA-256.';

-- A definer function sees rows only through the policies of its owner: that is halfhour_auth, never the table owner,
-- to whom FORCE would show nothing. Taking ownership wants CREATE on the schema, for this moment only.
grant create on schema account to halfhour_auth;
alter function account.authenticate(bytea) owner to halfhour_auth;
alter function account.exchange(bytea, bytea, bytea, uuid, uuid, text, text, timestamptz) owner to halfhour_auth;
revoke create on schema account from halfhour_auth;
revoke all on function account.authenticate(bytea) from public;
revoke all on function account.exchange(bytea, bytea, bytea, uuid, uuid, text, text, timestamptz) from public;
grant execute on function account.authenticate(bytea) to halfhour_api;
grant execute on function account.exchange(bytea, bytea, bytea, uuid, uuid, text, text, timestamptz) to halfhour_api;
