-- Finds whom an id is of: the name of a user, active or revoked, or since when one was erased.
-- Exactly one row.
-- $1 user_id.
-- Index: user_pkey, erased_user_pkey.
select u.name as "name?", x.erased_at as "erased_at?", x.finished_at as "finished_at?"
from (select $1::uuid as user_id) i
left join account.user u on u.user_id = i.user_id
left join account.erased_user x on x.user_id = i.user_id
