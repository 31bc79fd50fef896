-- Turns an approval or a link code into the token of a device, once.
-- $1 code_hash, $2 request_hash, $3 token_hash, $4 device_id and $5 token_id: for the first time,
-- $6 name, $7 platform, $8 machine_hash or null, $9 now.
-- Index: link_code_pkey.
select outcome as "outcome!", user_id, device_id
from account.enrol($1, $2, $3, $4, $5, $6, $7, $8, $9)
