-- Raises horizons and never lowers one. A user who was erased gets none.
-- $1 user_ids, $2 first_hours: position by position, users distinct.
-- Index: horizon_pkey, erased_user_pkey.
insert into usage.horizon as h (user_id, first_hour)
select u.user_id, u.first_hour
from unnest($1::uuid[], $2::timestamptz[]) u (user_id, first_hour)
where not exists (select from account.erased_user x where x.user_id = u.user_id)
order by u.user_id
on conflict (user_id) do update set first_hour = excluded.first_hour
where excluded.first_hour > h.first_hour
