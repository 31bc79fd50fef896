-- Writes down in which protocol devices reported last, and when. The rows are locked in the order of their ids first, so
-- that two processes do not deadlock.
-- $1 user_ids, $2 device_ids, $3 protocols, $4 heard_ats: position by position.
-- Index: device_pkey.
with heard as (
    select d.user_id, d.device_id, n.speaks, n.heard_at
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) as n (user_id, device_id, speaks, heard_at)
    join account.device d on d.user_id = n.user_id and d.device_id = n.device_id
    where d.heard_at is null or d.heard_at < n.heard_at
    order by d.user_id, d.device_id
    for no key update of d
)
update account.device d
set speaks = h.speaks, heard_at = h.heard_at
from heard h
where d.user_id = h.user_id and d.device_id = h.device_id
