-- Finds those of the given users that do not exist.
-- $1 user_ids.
-- Index: user_pkey.
select k.user_id as "user_id!"
from unnest($1::uuid[]) as k (user_id)
where not exists (select from account.user u where u.user_id = k.user_id)
