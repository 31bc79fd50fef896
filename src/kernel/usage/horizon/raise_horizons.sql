-- Raises horizons and never lowers one.
-- $1 user_ids, $2 first_hours: position by position, users distinct.
-- Index: horizon_pkey.
insert into usage.horizon as h (user_id, first_hour)
select u.user_id, u.first_hour
from unnest($1::uuid[], $2::timestamptz[]) u (user_id, first_hour)
order by u.user_id
on conflict (user_id) do update set first_hour = excluded.first_hour
where excluded.first_hour > h.first_hour
