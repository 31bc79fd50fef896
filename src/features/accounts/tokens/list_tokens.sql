-- Lists tokens with their owners, oldest first, which is the order of their ids.
-- $1 user_id, or null for all users; $2 after: only tokens after this id, or null; $3 limit.
-- Index: token_id_is_unique for the order, token_user_id_idx for one user.
select
    t.token_id, t.kind, u.name as user_name, d.name as "device_name?",
    t.created_at, t.expires_at, t.revoked_at, t.last_used_at
from account.token t
join account.user u on u.user_id = t.user_id
left join account.device d on d.user_id = t.user_id and d.device_id = t.device_id
where ($1::uuid is null or t.user_id = $1)
  and ($2::uuid is null or t.token_id > $2)
order by t.token_id
limit $3
