-- Removes buckets that a merge has taken into another device, and saves them as pre-images of the
-- job. The caller has locked them. The same statement publishes the events of their half hours,
-- which are those of the other device's buckets, too: a fold is of a whole day.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys; $6 backfill_id: the
-- job; $7 traceparent: of the events.
-- Index: bucket_pkey, pre_image_pkey.
with removed as (
    delete from usage.bucket b
    using unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[])
        as k (user_id, hour_start, device_id, source, model)
    where b.user_id = k.user_id
      and b.hour_start = k.hour_start
      and b.device_id = k.device_id
      and b.source = k.source
      and b.model = k.model
    returning b.*
),
saved as (
    insert into usage.pre_image (
        user_id, hour_start, device_id, source, model, backfill_id,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank, prior_backfill_id
    )
    select
        r.user_id, r.hour_start, r.device_id, r.source, r.model, $6::uuid,
        r.input_tokens, r.cache_read_tokens, r.cache_write_5m_tokens, r.cache_write_1h_tokens,
        r.output_tokens, r.reasoning_tokens, r.unclassified_tokens, r.request_count,
        r.observed_at, r.stamped, r.rank, r.backfill_id
    from removed r
)
insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
select
    r.user_id, 'bucket_changed', (r.hour_start at time zone 'UTC')::date,
    min(r.hour_start), max(r.hour_start), 'bulk', $6, $7
from removed r
group by r.user_id, (r.hour_start at time zone 'UTC')::date
