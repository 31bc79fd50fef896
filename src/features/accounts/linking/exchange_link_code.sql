-- Turns a link code into a device and its token, once.
-- $1 code_hash, $2 request_hash, $3 token_hash, $4 device_id and $5 token_id: for the first
-- exchange,
-- $6 name, $7 platform, $8 now.
-- Index: link_code_pkey.
select outcome as "outcome!", user_id, device_id
from account.exchange($1, $2, $3, $4, $5, $6, $7, $8)
