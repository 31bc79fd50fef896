-- Ends one session of a user, or all of them.
-- $1 user_id; $2 token_id: of the session, or null for all.
-- Index: token_user_id_idx.
update account.token
set revoked_at = transaction_timestamp()
where user_id = $1
  and is_session
  and revoked_at is null
  and ($2::uuid is null or token_id = $2::uuid)
