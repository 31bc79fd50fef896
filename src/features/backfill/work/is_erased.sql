-- Says whether a user was erased. fence.sql has locked the job, so that whoever forgets the user in
-- jobs comes after this transaction.
-- $1 user_id.
-- Index: erased_user_pkey.
select exists (select from account.erased_user x where x.user_id = $1) as "erased!"
