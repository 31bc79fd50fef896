-- Freezes a user's rollup before a day. Does nothing while an event waits that may touch an earlier
-- day.
-- $1 user_id; $2 time_zone: the rollup's; $3 day: the first that stays open.
-- Needs the fold lock. Index: user_state_pkey, outbox_pkey.
update rollup.user_state s
set frozen_before = $3
where s.user_id = $1
  and (s.frozen_before is null or s.frozen_before < $3)
  and not exists (
      select from usage.outbox o
      where o.user_id = $1 and (o.first_hour at time zone $2)::date < $3
  )
