-- Why: what operators and owners do is written down in the transaction that does it and can never be rewritten; and a
-- switch, thrown in one process, reaches all of them.
-- Meaning of stored rows: none yet. Way back: drop both tables; a server without them runs with its start-up defaults.
set local lock_timeout = '5s';

create schema ops;
comment on schema ops is 'Running halfhour: the audit and the switches. Owner: the operations slice; the kernel adds to the audit.';
revoke all on schema ops from public;

create table ops.audit (
    audit_id uuid not null,
    acted_at timestamptz not null default clock_timestamp(),
    actor_kind text not null,
    actor_user_id uuid,
    actor_token_id uuid,
    action text not null,
    subject text not null,
    reason text,
    request_id uuid not null,
    details jsonb not null default '{}',
    constraint audit_pkey primary key (audit_id),
    constraint audit_actor_kind_is_known check (actor_kind in ('viewer', 'operator', 'command', 'server')),
    constraint audit_action_is_a_word check (action ~ '^[a-z][a-z_.]{0,63}$'),
    constraint audit_subject_is_short check (char_length(subject) <= 200),
    constraint audit_reason_is_short check (char_length(reason) <= 500)
);
create index audit_acted_at_idx on ops.audit (acted_at);
comment on table ops.audit is 'Who did what, why, and in which request. Append-only: update, delete and truncate are refused to everyone.';
comment on column ops.audit.audit_id is 'UUIDv7 of the entry.';
comment on column ops.audit.acted_at is 'When, by the database''s clock.';
comment on column ops.audit.actor_kind is 'viewer or operator by their token, command for the binary on the machine, server for its own workers.';
comment on column ops.audit.actor_user_id is 'The user that the token belongs to; null for commands and the server.';
comment on column ops.audit.actor_token_id is 'The token; null for commands and the server.';
comment on column ops.audit.action is 'What was done: switch.set, backfill.execute, usage.erase and so on.';
comment on column ops.audit.subject is 'What it was done to: the name of a switch, the id of a job, device, user or token.';
comment on column ops.audit.reason is 'Why, in the actor''s words; null where none is asked for.';
comment on column ops.audit.request_id is 'The request or command.';
comment on column ops.audit.details is 'What else is needed to understand the entry. Never a token, a code or a body.';

create function ops.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'ops.audit is append-only' using errcode = 'insufficient_privilege';
end
$$;
comment on function ops.refuse_change() is 'Raises: what is written down stays.';
create trigger audit_is_append_only before update or delete or truncate on ops.audit
    for each statement execute function ops.refuse_change();

create table ops.switch (
    name text not null,
    is_on boolean not null,
    reason text not null,
    changed_at timestamptz not null default clock_timestamp(),
    constraint switch_pkey primary key (name),
    constraint switch_name_is_known check (name in ('ingest', 'relay', 'backfill', 'retention')),
    constraint switch_reason_is_short check (char_length(reason) between 1 and 500)
);
comment on table ops.switch is 'What operators switched on and off. A switch without a row is on.';
comment on column ops.switch.name is 'What it governs.';
comment on column ops.switch.is_on is 'Whether it may run.';
comment on column ops.switch.reason is 'Why it was thrown, in the operator''s words.';
comment on column ops.switch.changed_at is 'When it was thrown last.';

alter table ops.audit enable row level security, force row level security;
alter table ops.switch enable row level security, force row level security;
create policy named_users on ops.audit for insert to halfhour_api
    with check (actor_user_id in (select unnest(string_to_array(current_setting('app.user_ids', true), ',')::uuid[])));
create policy worker_adds_all on ops.audit for insert to halfhour_worker with check (true);
create policy worker_reads_all on ops.audit for select to halfhour_worker using (true);
create policy worker_handles_all on ops.switch to halfhour_worker using (true) with check (true);

grant usage on schema ops to halfhour_api, halfhour_worker;
grant insert on ops.audit to halfhour_api;
grant select, insert on ops.audit to halfhour_worker;
grant select, insert, update on ops.switch to halfhour_worker;
