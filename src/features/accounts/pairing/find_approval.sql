-- Reads until when an approval of a user can be used.
-- $1 code_hash, $2 user_id.
-- Index: link_code_pkey.
select expires_at from account.link_code where code_hash = $1 and user_id = $2
