-- Finds the tools of a user's buckets that usage.source does not have, with the number of buckets
-- of each, beside the number of all of them.
-- $1 user_id; $2 limit.
-- The user's keys are read once, from the index alone where it can be.
-- Index: bucket_pkey, source_pkey.
select
    b.source,
    count(*) as "buckets!",
    sum(count(*)) over ()::bigint as "all_buckets!"
from usage.bucket b
where b.user_id = $1
  and not exists (select from usage.source s where s.name = b.source)
group by b.source
order by b.source
limit $2::bigint
