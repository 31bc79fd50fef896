-- Sets a switch. A switch without a row is on.
-- $1 name, $2 is_on, $3 reason, $4 now.
-- Index: switch_pkey.
insert into ops.switch (name, is_on, reason, changed_at)
values ($1::text, $2::boolean, $3::text, $4::timestamptz)
on conflict (name) do update set is_on = excluded.is_on, reason = excluded.reason, changed_at = excluded.changed_at
