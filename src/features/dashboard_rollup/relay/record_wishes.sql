-- Moves the rollups of users who asked for a rebuild into the time zone that they want and into the
-- book that is in force. The fold after it rebuilds their days. A user without a rollup needs no
-- move, because a new rollup begins in both.
-- $1 user_ids, $2 ids: events, position by position; only those of topic rebuild count.
-- Index: outbox_pkey, user_state_pkey, user_pkey, in_force_pkey.
update rollup.user_state s
set time_zone = u.time_zone, book = f.book
from account.user u
left join price.in_force f on f.is_only
where u.user_id = s.user_id
  and (u.time_zone, f.book) is distinct from (s.time_zone, s.book)
  and s.user_id in (
      select o.user_id
      from usage.outbox o
      where o.user_id = any($1::uuid[]) and o.id = any($2::bigint[]) and o.topic = 'rebuild'
  )
