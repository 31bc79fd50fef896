-- Lists the users who were erased and of whom something is left.
-- $1 limit.
-- Index: erased_user_unfinished_idx.
select user_id from account.erased_user where finished_at is null order by erased_at limit $1
