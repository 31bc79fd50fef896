-- Why: trackers of other products pair without a code that somebody types on the machine, name their machine by an id that
-- outlives an installation, and take back what they sent. A machine's id keeps a new installation from becoming a second
-- device that counts everything again. A device says in which protocol it speaks, so that its owner sees what reports.
-- A pairing is the other way round of a link code: the device shows a code, and its owner approves it. What is stored is a
-- link code all the same, whose hash only that device can meet, so that there is one kind of secret to guard.
-- Meaning of stored rows: unchanged; no device has named its machine or its protocol. Way back: drop the function, the
-- policies, the index and the columns, and put the check and the policy of ops.audit back as they are in 0006 and 0032.
set local lock_timeout = '5s';

alter table account.device add column machine_hash bytea;
alter table account.device add column speaks text;
alter table account.device add column heard_at timestamptz;
alter table account.device
    add constraint device_machine_hash_is_sha256 check (octet_length(machine_hash) = 32) not valid;
alter table account.device
    add constraint device_speaks_is_a_word check (speaks ~ '^[a-z][a-z-]{0,39}$') not valid;
comment on column account.device.machine_hash is
    'SHA-256 of what the machine calls itself; null where it does not. Unique among the owner''s devices that are not revoked.';
comment on column account.device.speaks is
    'The protocol in which it reported last, by the name of the product; null where it never did.';
comment on column account.device.heard_at is 'Roughly when it reported last: written lazily, never on a request''s path.';
create unique index device_machine_is_unique_while_active on account.device (user_id, machine_hash)
    where revoked_at is null and machine_hash is not null;
comment on index account.device_machine_is_unique_while_active is 'A machine is one device, however often it is paired.';

grant insert (machine_hash) on account.device to halfhour_api;
create policy worker_notes_reports on account.device for update to halfhour_worker using (true) with check (true);
grant update (speaks, heard_at) on account.device to halfhour_worker;

-- A device takes its own usage back.
alter table ops.audit drop constraint audit_actor_kind_is_known;
alter table ops.audit
    add constraint audit_actor_kind_is_known check (actor_kind in ('device', 'viewer', 'operator', 'command', 'server'))
    not valid;
comment on column ops.audit.actor_kind is
    'device, viewer or operator by their token, command for the binary on the machine, server for its own workers.';
drop policy named_users on ops.audit;
create policy named_users on ops.audit for insert to halfhour_api
    with check (
        actor_user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[]))
        and (
            actor_kind = 'viewer'
            or actor_kind = 'device' and action = 'usage.erase' and exists (
                select from account.token t
                where t.token_id = actor_token_id and t.user_id = actor_user_id and t.kind = 'device'
            )
            or actor_kind = 'operator' and exists (
                select from account.token t
                where t.token_id = actor_token_id and t.user_id = actor_user_id and t.kind = 'operator'
            )
        )
    );

grant create on schema account to halfhour_auth;
set local role halfhour_auth;
create function account.enrol(
    code bytea, request bytea, token bytea,
    new_device_id uuid, new_token_id uuid, device_name text, device_platform text, machine bytea, at timestamptz
)
returns table (outcome text, user_id uuid, device_id uuid)
language sql volatile security definer
set search_path = ''
begin atomic
    -- The row lock makes sixteen exchanges of one code take their turns. The next statement has a snapshot of its own, and
    -- sees what the turn before has written.
    select from account.link_code c where c.code_hash = enrol.code for update;

    with judged as (
        select c.user_id, c.device_id,
            case
                when c.used_at is not null and c.request_hash = enrol.request then 'replayed'
                when c.used_at is not null then 'used'
                when c.expires_at <= enrol.at then 'expired'
                when not exists (
                    select from account.user u where u.user_id = c.user_id and u.revoked_at is null
                ) then 'unknown'
                else 'exchanged'
            end as outcome
        from account.link_code c
        where c.code_hash = enrol.code
    ), known_device as (
        select d.user_id, d.device_id
        from account.device d
        join judged j on j.user_id = d.user_id and j.outcome = 'exchanged'
        where d.machine_hash = enrol.machine and d.revoked_at is null
    ), free_name as (
        select n.candidate
        from (
            select position, case position
                    when 1 then enrol.device_name
                    else left(enrol.device_name, 99 - char_length(position::text)) || ' ' || position
                end as candidate
            from generate_series(1, 2000) as position
        ) n
        where not exists (
            select from account.device d
            join judged j on j.user_id = d.user_id
            where d.name = n.candidate and d.revoked_at is null
        )
        order by n.position
        limit 1
    ), made_device as (
        insert into account.device (user_id, device_id, name, platform, machine_hash)
        select j.user_id, enrol.new_device_id, f.candidate, enrol.device_platform, enrol.machine
        from judged j
        cross join free_name f
        where j.outcome = 'exchanged' and not exists (select from known_device)
    ), made_token as (
        insert into account.token (token_hash, token_id, kind, user_id, device_id)
        select enrol.token, enrol.new_token_id, 'device', j.user_id, coalesce(k.device_id, enrol.new_device_id)
        from judged j
        left join known_device k on k.user_id = j.user_id
        where j.outcome = 'exchanged'
    ), used_code as (
        update account.link_code c
        set used_at = enrol.at, request_hash = enrol.request, device_id = coalesce(k.device_id, enrol.new_device_id)
        from judged j
        left join known_device k on k.user_id = j.user_id
        where c.code_hash = enrol.code and j.outcome = 'exchanged'
    )
    select coalesce(j.outcome, 'unknown'),
        case when j.outcome in ('exchanged', 'replayed') then j.user_id end,
        case j.outcome
            when 'exchanged' then coalesce(k.device_id, enrol.new_device_id)
            when 'replayed' then j.device_id
        end
    from (values (true)) as one (answer)
    left join judged j on one.answer
    left join known_device k on k.user_id = j.user_id;
end;
comment on function account.enrol(bytea, bytea, bytea, uuid, uuid, text, text, bytea, timestamptz) is
    'Turns a link code into a token, once: for the device of that machine, or for a new one whose name a number makes unique. outcome as of account.exchange. All secrets arrive as SHA-256.';
revoke all on function account.enrol(bytea, bytea, bytea, uuid, uuid, text, text, bytea, timestamptz) from public;
grant execute on function account.enrol(bytea, bytea, bytea, uuid, uuid, text, text, bytea, timestamptz) to halfhour_api;
reset role;
revoke create on schema account from halfhour_auth;
