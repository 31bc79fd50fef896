-- Removes the oldest answers of devices that have more than a thousand.
-- Those that go are found first, and then deleted by their places. A plan of a moment when the table was
-- empty stays in use, and to it all indexes cost the same. So a device is asked for as a range, in the order
-- of idempotency_newest_idx, which no other index has, and what is sorted by time is sorted by an
-- expression, which is in no index at all. Expired records count for nothing.
-- $1 user_ids, $2 device_ids, $3 recorded, $4 newest, $5 is_looked_through: position by position, as
-- record_posts.sql returns them, in the same transaction.
-- Index: idempotency_newest_idx.
delete from usage.idempotency f
where f.ctid = any(array(
    select o.ctid
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::boolean[])
        as d (user_id, device_id, recorded, newest, is_looked_through)
    cross join lateral (
        select o.ctid
        from (
            select o.ctid, o.number, o.created_at
            from usage.idempotency o
            where o.user_id = d.user_id and o.device_id between d.device_id and d.device_id
            order by o.device_id, o.created_at
            limit d.recorded
        ) o
        where o.number <= d.newest - 1000 and o.created_at + interval '24 hours' > transaction_timestamp()
        union all
        (
            select o.ctid
            from usage.idempotency o
            where d.is_looked_through
              and o.user_id = d.user_id
              and o.device_id = d.device_id
              and o.created_at + interval '24 hours' > transaction_timestamp()
            order by o.created_at + interval '24 hours' desc
            offset 1000
        )
    ) o
))
