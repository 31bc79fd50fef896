-- Whether any token was ever issued whose row is still there.
-- Index: token_pkey.
select exists (select from account.token) as "exist!"
