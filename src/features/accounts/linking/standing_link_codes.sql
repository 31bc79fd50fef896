-- Finds which of some codes a user has been given, and whether each was used. lock_maker.sql has run
-- in this transaction.
-- $1 user_id; $2 code_hashes.
-- Index: link_code_pkey.
select c.code_hash, c.used_at is not null as "is_used!"
from account.link_code c
where c.user_id = $1 and c.code_hash = any($2::bytea[])
