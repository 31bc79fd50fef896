-- Gives devices the buckets back that a merge has taken from them, each with its version and its
-- rank, and forgets their pre-images. A bucket stays away where retention has taken its half hour,
-- where its pre-image was erased, and where the owner has since erased what it was moved into.
-- What stands is left alone. The same statement publishes the events of the half hours.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, sorted;
-- $6 into_device_ids: what they were moved into, position by position.
-- $7 backfill_id: the job; $8 executed_at: since when they are moved; $9 changed_at: now, an instant
-- that no other statement of this process was given; $10 traceparent: of the events.
-- Returns the keys that are back.
-- Index: pre_image_pkey, horizon_pkey, erasure_pkey, bucket_pkey.
with key as (
    select *
    from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::uuid[]) with ordinality
        as k (user_id, hour_start, device_id, source, model, into_device_id, position)
),
returned as (
    insert into usage.bucket (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank, backfill_id, changed_at
    )
    select
        p.user_id, p.hour_start, p.device_id, p.source, p.model,
        p.input_tokens, p.cache_read_tokens, p.cache_write_5m_tokens, p.cache_write_1h_tokens,
        p.output_tokens, p.reasoning_tokens, p.unclassified_tokens, p.request_count,
        p.observed_at, p.stamped, p.rank, p.prior_backfill_id, $9::timestamptz
    from key k
    join usage.pre_image p
        on p.user_id = k.user_id
        and p.hour_start = k.hour_start
        and p.device_id = k.device_id
        and p.source = k.source
        and p.model = k.model
        and p.backfill_id = $7::uuid
    where not exists (
        select from usage.horizon h
        where h.user_id = k.user_id and k.hour_start < h.first_hour
    )
      and not exists (
        select from usage.erasure x
        where x.user_id = k.user_id
          and x.backfill_id is null
          and x.erased_at >= $8::timestamptz
          and k.hour_start between x.first_hour and x.last_hour
          and (x.device_id is null or x.device_id = k.into_device_id)
          and (x.source is null or x.source = k.source)
    )
    order by k.position
    on conflict (user_id, hour_start, device_id, source, model) do nothing
    returning user_id, hour_start, device_id, source, model
),
forgotten as (
    delete from usage.pre_image p
    using returned r
    where p.user_id = r.user_id
      and p.hour_start = r.hour_start
      and p.device_id = r.device_id
      and p.source = r.source
      and p.model = r.model
      and p.backfill_id = $7::uuid
),
event as (
    insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
    select
        r.user_id, 'bucket_changed', (r.hour_start at time zone 'UTC')::date,
        min(r.hour_start), max(r.hour_start), 'bulk', $7::uuid, $10::text
    from returned r
    group by r.user_id, (r.hour_start at time zone 'UTC')::date
)
select user_id as "user_id!", hour_start as "hour_start!", device_id as "device_id!", source as "source!", model as "model!"
from returned
