-- Moves the rollups of users who asked for another time zone into that zone. The fold after it
-- rebuilds their days. A user without a rollup needs no move, because a new rollup begins in the
-- wanted zone.
-- $1 user_ids, $2 ids: events, position by position; only those of topic rebuild count.
-- Index: outbox_pkey, user_state_pkey, user_pkey.
update rollup.user_state s
set time_zone = u.time_zone
from account.user u
where u.user_id = s.user_id
  and u.time_zone <> s.time_zone
  and s.user_id in (
      select o.user_id
      from usage.outbox o
      where o.user_id = any($1::uuid[]) and o.id = any($2::bigint[]) and o.topic = 'rebuild'
  )
