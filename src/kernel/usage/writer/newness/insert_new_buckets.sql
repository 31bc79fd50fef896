-- Inserts buckets of which none stands yet, and publishes events for their half hours. Both happen in one statement, so that
-- neither is ever stored without the other. Where anything stands, or one of the users has a row in usage.erasure or
-- usage.horizon, nothing is written, and upsert_buckets.sql decides instead.
--  It is the cheaper way, because PostgreSQL neither looks for a conflict before each row nor confirms it afterwards.
--  A bucket that another transaction inserts at the same moment is a unique violation. The caller rolls back and asks
-- upsert_buckets.sql, which sees it.
--  Reading usage.horizon takes ACCESS SHARE on it, so lock_horizons.sql (ACCESS EXCLUSIVE) waits
-- until this transaction ends.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, distinct and sorted
-- in this order.
-- $6 … $13: the counts, in column order.
-- $14 observed_ats, $15 stamped, $16 ranks: the versions.
-- $17 changed_at: now, an instant that no other statement of this process was given; $18 lane: of
-- the events.
-- $19 cause_users, $20 request_ids, $21 traceparents: one request for each user, which the user's
-- events name as their cause.
-- Returns whether all were inserted; else none was.
-- Index: bucket_pkey, erasure_pkey, horizon_pkey.
with entry as materialized (
    select *
    from unnest(
        $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::timestamptz[], $15::boolean[], $16::smallint[]
    ) as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank
    )
),
whole as materialized (
    select
        not exists (select from usage.erasure x where x.user_id = any($19::uuid[]))
            and not exists (select from usage.horizon h where h.user_id = any($19::uuid[]))
            and not exists (
                select
                from entry e
                where exists (
                    select
                    from usage.bucket s
                    where s.user_id = e.user_id
                      and s.hour_start = e.hour_start
                      and s.device_id = e.device_id
                      and s.source = e.source
                      and s.model = e.model
                )
            ) as is_new
),
written as (
    insert into usage.bucket (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank, changed_at
    )
    select
        e.user_id, e.hour_start, e.device_id, e.source, e.model,
        e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
        e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count,
        e.observed_at, e.stamped, e.rank, $17::timestamptz
    from entry e
    where (select w.is_new from whole w)
    order by e.user_id, e.hour_start, e.device_id, e.source collate "C", e.model collate "C"
),
event as (
    insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
    select
        d.user_id, 'bucket_changed', d.utc_day, d.first_hour, d.last_hour, $18::text,
        ($20::uuid[])[d.cause], ($21::text[])[d.cause]
    from (
        select
            e.user_id, (e.hour_start at time zone 'UTC')::date as utc_day,
            min(e.hour_start) as first_hour, max(e.hour_start) as last_hour,
            -- Not a join, because the planner expects one row and would compare each with every cause.
            array_position($19::uuid[], e.user_id) as cause
        from entry e
        where (select w.is_new from whole w)
        group by e.user_id, (e.hour_start at time zone 'UTC')::date
    ) d
)
select w.is_new as "is_new!" from whole w
