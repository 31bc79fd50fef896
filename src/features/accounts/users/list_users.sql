-- Lists users, revoked ones included, in the order of their creation, which is the order of their
-- ids.
-- $1 after: only users after this id, or null; $2 limit.
-- Index: user_pkey for the order, token_user_id_idx for the last use.
select
    u.user_id, u.name, u.time_zone, u.created_at, u.revoked_at,
    (select max(t.last_used_at) from account.token t where t.user_id = u.user_id) as last_used_at
from account.user u
where $1::uuid is null or u.user_id > $1
order by u.user_id
limit $2
