-- Why: a person can be erased. What the person did and who the person was goes; that somebody of that id was erased
-- stays, so that nothing of that id is ever taken again and operators' acts still name somebody. Accounts go in one
-- transaction in the user's own name, everything else in short ones afterwards, until finished_at says that it is done.
-- account.others_operate tells the transaction of one user whether somebody else can still operate, and no more.
-- Meaning of stored rows: unchanged. Way back: return to the release before this one once every erasure is finished, then
-- drop the table, the function, the index and the grants. Rows of usage.erasure go on keeping out what trackers send.
set local lock_timeout = '5s';

create table account.erased_user (
    user_id uuid not null,
    erased_at timestamptz not null default transaction_timestamp(),
    finished_at timestamptz,
    constraint erased_user_pkey primary key (user_id)
);
create index erased_user_unfinished_idx on account.erased_user (erased_at) where finished_at is null;
comment on table account.erased_user is 'Users who were erased. It is all that is known of them, and is never removed.';
comment on column account.erased_user.user_id is 'Who the user was. No row of account.user has this id any more.';
comment on column account.erased_user.erased_at is 'When the name, the devices, the tokens and the link codes went. Nothing was taken of this user since.';
comment on column account.erased_user.finished_at is 'When the last of the usage was gone; null while a server has yet to remove some.';

alter table account.erased_user enable row level security, force row level security;
create policy named_users on account.erased_user to halfhour_api
    using (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])))
    with check (user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_handles_all on account.erased_user to halfhour_worker using (true) with check (true);
grant select, insert on account.erased_user to halfhour_api;
grant select, update (finished_at) on account.erased_user to halfhour_worker;

grant delete on account.user, account.device, account.token, account.link_code to halfhour_api;
grant delete on usage.kept, usage.horizon to halfhour_worker;

comment on column usage.erasure.erased_at is 'Snapshots of the scope taken at or before this instant are refused as erased. The end of the year 9999 for a user who was erased.';

-- Exceptions of one user are looked for when the user is erased. They are few and kept for 30 days.
create index exception_user_id_idx on backfill.exception (user_id) where user_id is not null;

create function account.others_operate(leaving uuid) returns boolean
language sql stable security definer
set search_path = ''
begin atomic
    select exists (
        select from account.token t
        join account.user u on u.user_id = t.user_id and u.revoked_at is null
        where t.kind = 'operator'
          and t.user_id <> leaving
          and t.revoked_at is null
          and (t.expires_at is null or t.expires_at > transaction_timestamp())
    );
end;
comment on function account.others_operate(uuid) is
    'Whether an active user other than this one has an operator''s token that is valid.';
grant create on schema account to halfhour_auth;
alter function account.others_operate(uuid) owner to halfhour_auth;
revoke create on schema account from halfhour_auth;
revoke all on function account.others_operate(uuid) from public;
grant execute on function account.others_operate(uuid) to halfhour_api;
