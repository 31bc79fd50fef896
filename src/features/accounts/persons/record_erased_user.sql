-- Records that a user was erased.
-- $1 user_id.
-- Returns when. Index: erased_user_pkey.
insert into account.erased_user (user_id) values ($1) returning erased_at
