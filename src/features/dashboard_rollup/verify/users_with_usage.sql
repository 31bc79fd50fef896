-- Lists the next users who have buckets or rollup rows, whether the users exist or not. Each user
-- costs one step down each index.
-- $1 after: the last user of the page before; $2 limit.
-- Index: bucket_pkey, daily_pkey.
with recursive found as (
    select n.user_id
    from (
        select least(
            (select b.user_id from usage.bucket b where b.user_id > $1 order by b.user_id limit 1),
            (select r.user_id from rollup.daily r where r.user_id > $1 order by r.user_id limit 1)
        ) as user_id
    ) n
    where n.user_id is not null
    union all
    select n.user_id
    from found f
    cross join lateral (
        select least(
            (select b.user_id from usage.bucket b where b.user_id > f.user_id order by b.user_id limit 1),
            (select r.user_id from rollup.daily r where r.user_id > f.user_id order by r.user_id limit 1)
        ) as user_id
    ) n
    where n.user_id is not null
)
select user_id as "user_id!"
from found
limit $2
