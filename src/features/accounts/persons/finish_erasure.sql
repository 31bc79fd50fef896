-- Records that nothing is left of a user who was erased. No row where that was known.
-- $1 user_id.
-- Index: erased_user_pkey.
update account.erased_user
set finished_at = transaction_timestamp()
where user_id = $1 and finished_at is null
