-- The parked events of the users and UTC days of other events: a fold that succeeds there heals them too.
-- $1 user_ids, $2 ids: the other events, position by position.
-- Index: outbox_parked_idx, outbox_pkey.
select p.user_id as "user_id!", p.id as "id!", p.created_at as "created_at!", p.attempts as "attempts!",
    p.lane = 'bulk' as "bulk!"
from usage.outbox p
where p.parked_at is not null
  and p.user_id = any($1::uuid[])
  and exists (
      select from usage.outbox o
      where o.user_id = p.user_id and o.utc_day = p.utc_day and o.id = any($2::bigint[])
  )
order by p.id
