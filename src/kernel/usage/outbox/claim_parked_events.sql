-- The parked events of the same users that may touch the days of other events, which are folded: these may heal. Half
-- hours less than a day apart may be of one local day.
-- $1 user_ids, $2 ids: the other events, position by position; $3 lanes: of which parked events may be taken.
-- Index: outbox_parked_idx, outbox_pkey.
select p.user_id as "user_id!", p.id as "id!", p.topic as "topic!", p.created_at as "created_at!",
    p.attempts as "attempts!", p.lane as "lane!"
from usage.outbox p
where p.parked_at is not null
  and p.user_id = any($1::uuid[])
  -- Said so that no index by lane serves, whatever waits there.
  and array_position($3::text[], p.lane) is not null
  and exists (
      select from usage.outbox o
      where o.user_id = p.user_id
        and o.id = any($2::bigint[])
        and o.first_hour - interval '1 day' < p.last_hour
        and o.last_hour + interval '1 day' > p.first_hour
  )
order by p.user_id, p.id
limit 1000
