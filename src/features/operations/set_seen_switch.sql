-- Sets a switch as set_switch does, where it still stands as it was seen. No row where it was set since.
-- $1 name, $2 is_on, $3 reason, $4 now, $5 seen: when it had been set last, or null where it never was.
-- Index: switch_pkey.
insert into ops.switch (name, is_on, reason, changed_at)
values ($1::text, $2::boolean, $3::text, $4::timestamptz)
on conflict (name) do update set is_on = excluded.is_on, reason = excluded.reason, changed_at = excluded.changed_at
where ops.switch.changed_at = $5::timestamptz
