-- Why: a session loads the library of PL/pgSQL when it first calls such a function. When an upgrade has replaced the
-- library under a running PostgreSQL, that fails, and no link code could be exchanged until a restart. The same function in
-- SQL loads nothing. ops.refuse_change stays in PL/pgSQL, because a trigger cannot be written in SQL: it refuses what no
-- request does, and an error of its library refuses that, too.
-- Meaning of stored rows: unchanged. Way back: put account.exchange back as it was in 0002.
set local lock_timeout = '5s';

-- Only the owner replaces a function, and a login may own it without inheriting its rights: so become the owner.
grant create on schema account to halfhour_auth;
set local role halfhour_auth;
create or replace function account.exchange(
    code bytea, request bytea, token bytea,
    new_device_id uuid, new_token_id uuid, device_name text, device_platform text, at timestamptz
)
returns table (outcome text, user_id uuid, device_id uuid)
language sql volatile security definer
set search_path = ''
begin atomic
    -- The row lock makes sixteen exchanges of one code take their turns. The next statement has a snapshot of its own, and
    -- sees what the turn before has written.
    select from account.link_code c where c.code_hash = exchange.code for update;

    with judged as (
        select c.user_id, c.device_id,
            case
                when c.used_at is not null and c.request_hash = exchange.request then 'replayed'
                when c.used_at is not null then 'used'
                when c.expires_at <= exchange.at then 'expired'
                when not exists (
                    select from account.user u where u.user_id = c.user_id and u.revoked_at is null
                ) then 'unknown'
                else 'exchanged'
            end as outcome
        from account.link_code c
        where c.code_hash = exchange.code
    ), made_device as (
        insert into account.device (user_id, device_id, name, platform)
        select j.user_id, exchange.new_device_id, exchange.device_name, exchange.device_platform
        from judged j
        where j.outcome = 'exchanged'
    ), made_token as (
        insert into account.token (token_hash, token_id, kind, user_id, device_id)
        select exchange.token, exchange.new_token_id, 'device', j.user_id, exchange.new_device_id
        from judged j
        where j.outcome = 'exchanged'
    ), used_code as (
        update account.link_code c
        set used_at = exchange.at, request_hash = exchange.request, device_id = exchange.new_device_id
        from judged j
        where c.code_hash = exchange.code and j.outcome = 'exchanged'
    )
    select coalesce(j.outcome, 'unknown'),
        case when j.outcome in ('exchanged', 'replayed') then j.user_id end,
        case j.outcome when 'exchanged' then exchange.new_device_id when 'replayed' then j.device_id end
    from (values (true)) as one (answer)
    left join judged j on one.answer;
end;
reset role;
revoke create on schema account from halfhour_auth;
comment on function account.exchange(bytea, bytea, bytea, uuid, uuid, text, text, timestamptz) is
    'Turns a link code into a device and its token, once. outcome: exchanged, replayed (the same request again), used, expired, unknown. All secrets arrive as SHA-256.';
