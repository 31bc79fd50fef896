-- Why: a bug in the statements of a request must not make more of the caller than it is, and a login that is no superuser
-- must not see every user's rows by merely being connected.
-- The login becomes a working role by `set role` only. Since PostgreSQL 16 that is a property of the grant. Before, it is
-- one of the login, which is changed only where the login is a member of nothing else. What cannot be changed here, because
-- somebody else granted the roles, a server says when it starts.
-- halfhour_api loses the columns that no statement of a request writes. It issues no operator's token, and does not bring
-- back what was revoked or let it live longer. In the audit it speaks for the named users and for exchanges of link codes.
-- Operators' tokens, and entries that name a command, are written as halfhour_worker.
-- Nothing of a user goes out where a number has fallen that only ever rises.
-- Migrations after this one that read or write rows say `set local role halfhour_worker` before that.
-- Meaning of stored rows: unchanged. Way back: grant the tables whole, put the policies of ops.audit back as they are in
-- 0006 and 0009, and drop the other policies, the triggers and the function. A release before this one cannot issue
-- operators' tokens nor write down what commands do until then.
set local lock_timeout = '5s';

do $$
declare
    working constant text[] := array['halfhour_api', 'halfhour_worker', 'halfhour_auth', 'halfhour_none'];
    wanted text;
begin
    if (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
        return;
    end if;
    if current_setting('server_version_num')::int >= 160000 then
        -- A grant of the login's own is changed. One by somebody else stays as it is.
        foreach wanted in array working loop
            begin
                execute format('grant %I to current_user with inherit false, set true', wanted);
            exception when insufficient_privilege or invalid_grant_operation then
                null;
            end;
        end loop;
    elsif not exists (
        select from pg_catalog.pg_auth_members m
        join pg_catalog.pg_roles granted on granted.oid = m.roleid
        where m.member = current_user::regrole and granted.rolname <> all (working)
    ) then
        begin
            -- The owner of a database owns its schema public by a membership, too.
            execute 'grant usage, create on schema public to current_user';
            execute 'alter role current_user noinherit';
        exception when insufficient_privilege then
            null;
        end;
    end if;
end
$$;

revoke insert, update on account.user, account.device, account.token, account.link_code from halfhour_api;
grant insert (user_id, name, time_zone), update (time_zone, revoked_at) on account.user to halfhour_api;
grant insert (user_id, device_id, name, platform), update (revoked_at) on account.device to halfhour_api;
grant insert (token_hash, token_id, kind, user_id, device_id), update (revoked_at, expires_at)
    on account.token to halfhour_api;
grant insert (code_hash, user_id, created_at, expires_at) on account.link_code to halfhour_api;
revoke insert on account.erased_user from halfhour_api;
grant insert (user_id) on account.erased_user to halfhour_api;
revoke insert on usage.outbox from halfhour_api;
grant insert (user_id, topic, utc_day, first_hour, last_hour, lane, device_id, source, request_id, traceparent)
    on usage.outbox to halfhour_api;
revoke insert on ops.audit from halfhour_api;
grant insert (audit_id, actor_kind, actor_user_id, actor_token_id, action, subject, reason, request_id, details)
    on ops.audit to halfhour_api;

create policy no_operator_is_made on account.token as restrictive for insert to halfhour_api
    with check (kind <> 'operator');
grant insert (token_hash, token_id, kind, user_id, device_id) on account.token to halfhour_worker;
create policy worker_issues_operators on account.token for insert to halfhour_worker with check (kind = 'operator');

drop policy named_users on ops.audit;
drop policy nobody_acts on ops.audit;
-- The token of a viewer who erases itself has gone by then.
create policy named_users on ops.audit for insert to halfhour_api
    with check (
        actor_user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[]))
        and (
            actor_kind = 'viewer'
            or actor_kind = 'operator' and exists (
                select from account.token t
                where t.token_id = actor_token_id and t.user_id = actor_user_id and t.kind = 'operator'
            )
        )
    );
-- An exchange of a link code acts in nobody's name.
create policy nobody_acts on ops.audit for insert to halfhour_api
    with check (
        actor_user_id is null and actor_token_id is null and actor_kind = 'server' and action = 'device.link'
    );

create function account.refuse_revival() returns trigger language plpgsql set search_path = '' as $$
begin
    raise exception 'what was revoked stays so, and no token lives longer than it was to'
        using errcode = 'insufficient_privilege';
end
$$;
comment on function account.refuse_revival() is
    'Raises: what was revoked stays so, and no token lives longer than it was to.';
revoke all on function account.refuse_revival() from public;
create trigger user_stays_revoked before update of revoked_at on account.user for each row
    when (
        current_user in ('halfhour_api', 'halfhour_worker')
        and old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at
    )
    execute function account.refuse_revival();
create trigger device_stays_revoked before update of revoked_at on account.device for each row
    when (
        current_user in ('halfhour_api', 'halfhour_worker')
        and old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at
    )
    execute function account.refuse_revival();
create trigger token_stays_ended before update of revoked_at, expires_at on account.token for each row
    when (
        current_user in ('halfhour_api', 'halfhour_worker')
        and (
            old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at
            or old.expires_at is not null and (new.expires_at is null or new.expires_at > old.expires_at)
        )
    )
    execute function account.refuse_revival();

-- Assertions: no statement of this release does it, and the server tells this error from others by the constraint.
create function rollup.refuse_fall() returns trigger language plpgsql set search_path = '' as $$
begin
    raise exception 'a number of rollup.user_state that only rises was to fall'
        using errcode = 'check_violation', constraint = tg_name, schema = 'rollup', table = 'user_state';
end
$$;
comment on function rollup.refuse_fall() is 'Raises: what is frozen stays frozen, and versions only rise.';
revoke all on function rollup.refuse_fall() from public;
create trigger frozen_before_never_falls before update of frozen_before on rollup.user_state for each row
    when (new.frozen_before < old.frozen_before or new.frozen_before is null and old.frozen_before is not null)
    execute function rollup.refuse_fall();
create trigger version_never_falls before update of version on rollup.user_state for each row
    when (new.version < old.version)
    execute function rollup.refuse_fall();
