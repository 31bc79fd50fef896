-- Finds the parked events of the same users that may touch the same local days as events that are
-- being folded now. Folding them along may heal them. Half hours less than a day apart count as
-- possibly one local day.
-- $1 user_ids, $2 ids: the events being folded, position by position; $3 bulk_rests, $4 whole_rests:
-- the parts of which no bulk event and no event of a whole user may be folded now.
-- Index: outbox_parked_idx, outbox_pkey.
select p.user_id as "user_id!", p.id as "id!", p.topic as "topic!", p.created_at as "created_at!",
    p.attempts as "attempts!", p.lane as "lane!", p.traceparent
from usage.outbox p
where p.parked_at is not null
  and p.user_id = any($1::uuid[])
  -- A case, because the planner would use another condition to read an index by lane, whatever waits
  -- in that lane.
  and case p.lane
      when 'bulk' then array_position($3::smallint[], p.part) is null
      when 'whole' then array_position($4::smallint[], p.part) is null
      else true
  end
  and exists (
      select from usage.outbox o
      where o.user_id = p.user_id
        and o.id = any($2::bigint[])
        and o.first_hour - interval '1 day' < p.last_hour
        and o.last_hour + interval '1 day' > p.first_hour
  )
order by p.user_id, p.id
limit 1000
