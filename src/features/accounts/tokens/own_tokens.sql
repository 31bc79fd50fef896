-- Lists the tokens and the sessions of a user that work, the newest first.
-- $1 user_id; $2 limit.
-- Index: token_user_id_idx.
select
    t.token_id, t.kind, t.is_session, t.label, d.name as "device_name?",
    t.created_at, t.expires_at, t.last_used_at
from account.token t
left join account.device d on d.user_id = t.user_id and d.device_id = t.device_id
where t.user_id = $1
  and t.revoked_at is null
  and (t.expires_at is null or t.expires_at > transaction_timestamp())
  and d.revoked_at is null
order by t.token_id desc
limit $2
