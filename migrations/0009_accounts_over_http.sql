-- Why: accounts over HTTP. A rotated token ends at a set time instead of at once; when a token was last used is written
-- down by a worker, long after the request; link codes are removed a day after they expired; a user's own usage is
-- deleted in the user's own name, so that row-level security binds that too; and what commands do is written down.
-- Meaning of stored rows: unchanged; every token that is there has no end. Way back: put account.authenticate back as it
-- was in 0002, then drop the policies, grants, indexes and the column; rotated tokens then live on until revoked.
set local lock_timeout = '5s';

alter table account.token add column expires_at timestamptz;
comment on column account.token.expires_at is 'From when on the token is refused, set when another one takes its place; null while it has no end.';
create index token_device_idx on account.token (user_id, device_id) where device_id is not null;
create index link_code_expires_at_idx on account.link_code (expires_at);

-- Only the owner replaces a function, and a login may own it without inheriting its rights: so become the owner.
grant create on schema account to halfhour_auth;
set local role halfhour_auth;
create or replace function account.authenticate(hash bytea)
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
      and (t.expires_at is null or t.expires_at > transaction_timestamp())
      and d.revoked_at is null;
end;
reset role;
revoke create on schema account from halfhour_auth;
comment on function account.authenticate(bytea) is
    'The principal behind a token''s SHA-256, or no row: unknown, revoked, expired, or its user or device is revoked.';

create policy worker_notes_use on account.token for update to halfhour_worker using (true) with check (true);
create policy worker_removes_expired on account.link_code to halfhour_worker using (true) with check (true);
grant update (last_used_at) on account.token to halfhour_worker;
grant select, delete on account.link_code to halfhour_worker;

-- A command and an exchange of a link code act in nobody's name.
create policy nobody_acts on ops.audit for insert to halfhour_api
    with check (actor_user_id is null and actor_kind in ('command', 'server'));

grant delete on usage.bucket to halfhour_api;
grant insert, delete on usage.erasure to halfhour_api;
