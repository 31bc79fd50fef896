-- Decides for devices that post for the first time whether they count or take snapshots, and reads
-- what was decided of the others. A device that has buckets of its own already takes snapshots: a
-- release that knew no other kind has written them. What operators and merges brought is not its own. Whoever inserts the same row at this moment is waited for; a
-- device that lost such a race has no row in the answer, and is found when this is run again. Of a
-- user who was erased nothing is decided.
-- $1 user_ids, $2 device_ids, $3 counts: position by position, distinct and sorted by device.
-- Index: device_kind_pkey, bucket_pkey, erased_user_pkey.
with asked as materialized (
    select * from unnest($1::uuid[], $2::uuid[], $3::boolean[]) as a (user_id, device_id, counts)
),
known as materialized (
    select k.user_id, k.device_id, k.counts
    from asked a
    join usage.device_kind k on k.user_id = a.user_id and k.device_id = a.device_id
),
decided as (
    insert into usage.device_kind (user_id, device_id, counts)
    select
        a.user_id, a.device_id,
        a.counts and not exists (
            select from usage.bucket b
            where b.user_id = a.user_id and b.device_id = a.device_id and b.backfill_id is null
        ) as counts
    from asked a
    where not exists (select from known k where k.user_id = a.user_id and k.device_id = a.device_id)
      and not exists (select from account.erased_user x where x.user_id = a.user_id)
    order by a.user_id, a.device_id
    on conflict (user_id, device_id) do nothing
    returning user_id, device_id, counts
)
select user_id as "user_id!", device_id as "device_id!", counts as "counts!" from known
union all
select user_id, device_id, counts from decided
