-- Records the answers of a batch of posts under their keys, and replaces expired records of these keys.
-- Of a device only the newest thousand stay. Its answers are numbered, a microsecond apart, so that the
-- newest says how many there are. forget_posts.sql is to run for the devices that this returns, and most
-- have no thousand.
-- All of a device's records are to be looked through where numbers cannot tell: at each 250th, because
-- batches of two processes that were recorded at the same moment have taken the same numbers, and where the
-- oldest has none. That is asked for the first number and after each 25th, and only up to the thousandth, at
-- which the older ones are gone.
-- A plan of a moment when the table was empty stays in use, and to it all indexes cost the same. So a device
-- is asked for as a range, in the order of idempotency_newest_idx, which no other index has.
-- Records of this batch's keys have expired, if there are any, and count for nothing. Of a user who was
-- erased meanwhile nothing is recorded.
-- $1 user_ids, $2 scope_hashes, $3 device_ids, $4 fingerprints, $5 request_ids, $6 verdicts, $7
-- rejections: position by position, the keys distinct.
-- Returns the devices that may have more than a thousand now, each with how many answers were recorded and
-- with the number of the newest.
-- Index: idempotency_pkey, idempotency_newest_idx, erased_user_pkey.
with entry as materialized (
    select
        e.*,
        row_number() over device as place,
        count(*) over device as recorded,
        coalesce((
            select o.number
            from usage.idempotency o
            where o.user_id = e.user_id and o.device_id between e.device_id and e.device_id
            order by o.device_id desc, o.created_at desc
            limit 1
        ), 0) as newest
    from unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::bytea[], $5::uuid[], $6::bytea[], $7::text[]) as e (
        user_id, scope_hash, device_id, fingerprint, request_id, verdicts, rejections
    )
    window device as (partition by e.user_id, e.device_id)
),
recorded as (
    insert into usage.idempotency (
        user_id, scope_hash, device_id, number, fingerprint, request_id, verdicts, rejections, created_at
    )
    select
        e.user_id, e.scope_hash, e.device_id, e.newest + e.place, e.fingerprint, e.request_id, e.verdicts,
        e.rejections, transaction_timestamp() + e.place * interval '1 microsecond'
    from entry e
    where not exists (select from account.erased_user x where x.user_id = e.user_id)
    order by e.user_id, e.scope_hash
    on conflict (user_id, scope_hash) do update set
        device_id = excluded.device_id,
        number = excluded.number,
        fingerprint = excluded.fingerprint,
        request_id = excluded.request_id,
        verdicts = excluded.verdicts,
        rejections = excluded.rejections,
        status = excluded.status,
        answer = excluded.answer,
        etag = excluded.etag,
        location = excluded.location,
        seed = excluded.seed,
        secret_hash = excluded.secret_hash,
        created_at = excluded.created_at
)
select
    d.user_id as "user_id!", d.device_id as "device_id!", d.recorded as "recorded!", d.newest as "newest!",
    d.is_looked_through as "is_looked_through!"
from (
    select
        e.user_id, e.device_id, e.recorded, e.newest + e.recorded as newest,
        case
            when e.newest / 250 < (e.newest + e.recorded) / 250 then true
            when e.newest >= 1000 or (e.newest + 24) / 25 = (e.newest + 24 + e.recorded) / 25 then false
            else coalesce((
                select o.number is null
                from usage.idempotency o
                where o.user_id = e.user_id and o.device_id between e.device_id and e.device_id
                order by o.device_id, o.created_at
                limit 1
            ), false)
        end as is_looked_through
    from entry e
    where e.place = 1
) d
where d.is_looked_through or d.newest > 1000
