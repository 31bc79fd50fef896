-- Lists the parked events, those that were parked first in front.
-- $1 limit.
-- Index: outbox_parked_idx, user_pkey.
select o.user_id, u.name as "user_name?", o.id, o.topic, o.utc_day, o.attempts, o.parked_at as "parked_at!", o.last_error
from usage.outbox o
left join account.user u on u.user_id = o.user_id
where o.parked_at is not null
order by o.parked_at, o.id
limit $1::bigint
