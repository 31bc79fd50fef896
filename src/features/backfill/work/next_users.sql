-- Lists the next users of a replay, a verification or a reprice: those that exist, and those that have buckets
-- without existing.
-- $1 user_ids: only these, null for all; $2 after: the user before, null at the beginning; $3
-- limit.
-- Index: user_pkey, bucket_pkey.
with recursive owner as (
    (
        select b.user_id, 1::bigint as place
        from usage.bucket b
        where $2::uuid is null or b.user_id > $2
        order by b.user_id
        limit 1
    )
    union all
    select (
        select b.user_id from usage.bucket b where b.user_id > o.user_id order by b.user_id limit 1
    ), o.place + 1
    from owner o
    where o.user_id is not null and o.place < $3::bigint
)
select e.user_id as "user_id!"
from (
    (
        select u.user_id
        from account.user u
        where $1::uuid[] is null and ($2::uuid is null or u.user_id > $2)
        order by u.user_id
        limit $3
    )
    union
    select o.user_id from owner o where $1::uuid[] is null and o.user_id is not null
    union
    select n.user_id from unnest($1::uuid[]) as n (user_id) where $2::uuid is null or n.user_id > $2
) e
order by e.user_id
limit $3
