-- Stages rows of a plan, each with the present version of its bucket. Returns the rows that cannot
-- be staged, each with the reason.
-- $1 job_id; $2 user_ids, $3 hour_starts, $4 device_ids, $5 sources, $6 models: the keys, distinct
-- and sorted.
-- $7 … $14: the counts, in column order.
-- Index: device_pkey, horizon_pkey, bucket_pkey, plan_row_pkey.
with entry as (
    select *
    from unnest(
        $2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[],
        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
        $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[]
    ) with ordinality as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count, position
    )
),
judged as materialized (
    select
        e.*,
        case
            when not exists (
                select from account.device d where d.user_id = e.user_id and d.device_id = e.device_id
            ) then 'unknown_device'
            when exists (
                select from usage.horizon h where h.user_id = e.user_id and e.hour_start < h.first_hour
            ) then 'before_retention_horizon'
        end as wrong
    from entry e
),
staged as (
    insert into backfill.plan_row (
        job_id, user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        seen_observed_at, seen_input_tokens, seen_cache_read_tokens, seen_cache_write_5m_tokens,
        seen_cache_write_1h_tokens, seen_output_tokens, seen_reasoning_tokens, seen_unclassified_tokens,
        seen_request_count
    )
    select
        $1, j.user_id, j.hour_start, j.device_id, j.source, j.model,
        j.input_tokens, j.cache_read_tokens, j.cache_write_5m_tokens, j.cache_write_1h_tokens,
        j.output_tokens, j.reasoning_tokens, j.unclassified_tokens, j.request_count,
        b.observed_at, b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens,
        b.cache_write_1h_tokens, b.output_tokens, b.reasoning_tokens, b.unclassified_tokens,
        b.request_count
    from judged j
    left join usage.bucket b
        on b.user_id = j.user_id
        and b.hour_start = j.hour_start
        and b.device_id = j.device_id
        and b.source = j.source
        and b.model = j.model
    where j.wrong is null
    order by j.position
    on conflict (job_id, user_id, hour_start, device_id, source, model) do nothing
    returning user_id, hour_start, device_id, source, model
)
select j.position as "position!", coalesce(j.wrong, 'duplicate_bucket') as "wrong!"
from judged j
left join staged s
    on s.user_id = j.user_id
    and s.hour_start = j.hour_start
    and s.device_id = j.device_id
    and s.source = j.source
    and s.model = j.model
where s.user_id is null
order by j.position
