-- Counts the rows of a user's rollup, frozen days included.
-- $1 user_id.
-- Index: daily_pkey.
select count(*) as "rows!" from rollup.daily r where r.user_id = $1
