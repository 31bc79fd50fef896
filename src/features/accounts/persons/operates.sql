-- Says whether a user is active and has an operator's token that is valid.
-- $1 user_id.
-- Index: token_user_id_idx, user_pkey.
select exists (
    select from account.token t
    join account.user u on u.user_id = t.user_id and u.revoked_at is null
    where t.user_id = $1
      and t.kind = 'operator'
      and t.revoked_at is null
      and (t.expires_at is null or t.expires_at > transaction_timestamp())
) as "operates!"
