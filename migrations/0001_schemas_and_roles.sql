-- Why: one schema per owner, and four roles that can each do only their part, so that a bug in a handler meets a
-- wall in the database. Connections start as halfhour_none, which may do nothing; a kernel transaction then says
-- `set local role`. None of the four can log in, own a table or bypass row-level security.
-- Meaning of stored rows: none yet. Way back: drop the schemas, then the roles.
set local lock_timeout = '5s';

create schema usage;
comment on schema usage is 'Facts: buckets, the outbox that announces their changes, and erasures. Written only by the kernel.';
create schema account;
comment on schema account is 'Users, devices, tokens and link codes. Written only by the accounts slice and by account.exchange.';
create schema rollup;
comment on schema rollup is 'What dashboards read: folds of usage.bucket. Written only by the dashboard_rollup slice.';

-- Roles belong to the whole cluster: another database of it may create them at this very moment.
do $$
declare
    wanted text;
    -- Since PostgreSQL 16 a membership may lack the right to `set role`.
    needed text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
begin
    foreach wanted in array array['halfhour_api', 'halfhour_worker', 'halfhour_auth', 'halfhour_none'] loop
        -- Looked for first: creating wants a right that an owner may lack where the roles are there already.
        if not exists (select from pg_catalog.pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin nosuperuser nobypassrls noinherit', wanted);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
        -- A login that is not a superuser may take on a role only as its member. Whoever can already (a superuser can)
        -- gets no grant, which also keeps parallel databases from updating one row of the shared catalogue.
        if not pg_has_role(current_user, wanted, needed) then
            execute format('grant %I to current_user', wanted);
        end if;
    end loop;
end
$$;

revoke all on schema public from public;
grant usage on schema usage, account, rollup to halfhour_api, halfhour_worker;
grant usage on schema account to halfhour_auth;
