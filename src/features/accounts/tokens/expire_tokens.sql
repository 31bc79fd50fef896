-- Gives the active tokens of a device, or one token, an end. A token that ends earlier keeps its
-- end.
-- $1 user_id; $2 device_id or null, $3 token_id or null: which tokens; $4 overlap_s: how long they
-- live on, in seconds.
-- Index: token_device_idx, token_id_is_unique.
update account.token
set expires_at = least(expires_at, transaction_timestamp() + make_interval(secs => $4))
where user_id = $1
  and (device_id = $2 or token_id = $3)
  and revoked_at is null
