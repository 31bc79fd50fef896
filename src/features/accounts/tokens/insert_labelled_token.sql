-- Adds a token of a user that reads, under a label. No row where the user has too many already.
-- $1 token_hash, $2 token_id, $3 user_id, $4 label; $5 limit: tokens that read and work, sessions apart, that a user may have.
-- Index: token_pkey, token_user_id_idx for the count.
insert into account.token (token_hash, token_id, kind, user_id, label)
select $1, $2, 'viewer', $3, $4
where (
    select count(*)
    from account.token t
    where t.user_id = $3
      and t.kind = 'viewer'
      and not t.is_session
      and t.revoked_at is null
      and (t.expires_at is null or t.expires_at > transaction_timestamp())
) < $5
