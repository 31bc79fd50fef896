-- Adds counts to buckets, and publishes events for the half hours. Both happen in one statement, so
-- that neither is ever stored without the other. The transaction has entered the records into the
-- ledger, so that none is added again.
--  What is added goes on top of whatever stands, a correction included. A bucket that holds one keeps
-- its mark and its rank, so that the correction can still be taken back.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, distinct and sorted
-- in this order.
-- $6 … $13: what is added, in column order. $14 observed_at: the arrival; $15 ranks: of a bucket
-- whose newest record arrived then.
-- $16 changed_at: now, an instant that no other statement of this process was given.
-- $17 cause_users, $18 request_ids, $19 traceparents: one request for each user, which the user's
-- events name as their cause.
-- Returns the buckets that hold a correction, each with the correction's job.
-- Index: bucket_pkey.
with entry as (
    select *
    from unnest(
        $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $15::smallint[]
    ) as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        rank
    )
),
written as (
    insert into usage.bucket as b (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank, changed_at
    )
    select
        e.user_id, e.hour_start, e.device_id, e.source, e.model,
        e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
        e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count,
        $14::timestamptz, false, e.rank, $16::timestamptz
    from entry e
    order by e.user_id, e.hour_start, e.device_id, e.source collate "C", e.model collate "C"
    on conflict (user_id, hour_start, device_id, source, model) do update set
        input_tokens = b.input_tokens + excluded.input_tokens,
        cache_read_tokens = b.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_5m_tokens = b.cache_write_5m_tokens + excluded.cache_write_5m_tokens,
        cache_write_1h_tokens = b.cache_write_1h_tokens + excluded.cache_write_1h_tokens,
        output_tokens = b.output_tokens + excluded.output_tokens,
        reasoning_tokens = b.reasoning_tokens + excluded.reasoning_tokens,
        unclassified_tokens = b.unclassified_tokens + excluded.unclassified_tokens,
        request_count = b.request_count + excluded.request_count,
        observed_at = greatest(b.observed_at, excluded.observed_at),
        rank = case when b.backfill_id is null then greatest(b.rank, excluded.rank) else b.rank end,
        changed_at = excluded.changed_at
    returning b.user_id, b.hour_start, b.device_id, b.source, b.model, b.backfill_id
),
event as (
    insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
    select
        d.user_id, 'bucket_changed', d.utc_day, d.first_hour, d.last_hour, 'live',
        ($18::uuid[])[d.cause], ($19::text[])[d.cause]
    from (
        select
            w.user_id, (w.hour_start at time zone 'UTC')::date as utc_day,
            min(w.hour_start) as first_hour, max(w.hour_start) as last_hour,
            array_position($17::uuid[], w.user_id) as cause
        from written w
        group by w.user_id, (w.hour_start at time zone 'UTC')::date
    ) d
)
select
    user_id as "user_id!", hour_start as "hour_start!", device_id as "device_id!", source as "source!", model as "model!",
    backfill_id as "backfill_id!"
from written
where backfill_id is not null
