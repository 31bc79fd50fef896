-- Stages a merge: for each bucket of the from-device a row of the into-device with what its bucket
-- is to say, and a row of the from-device whose bucket goes. One statement sees both devices as of
-- one moment. Buckets before the user's horizon are not staged.
-- $1 job_id, $2 user_id, $3 from_device_id, $4 into_device_id; $5 first_hour, $6 last_hour; $7
-- resolve: null while nobody has decided, then the into-device's bucket stays.
-- Index: bucket_pkey, horizon_pkey, plan_row_pkey.
with kept as (
    insert into backfill.plan_row (
        job_id, user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        seen_observed_at, seen_input_tokens, seen_cache_read_tokens, seen_cache_write_5m_tokens,
        seen_cache_write_1h_tokens, seen_output_tokens, seen_reasoning_tokens, seen_unclassified_tokens,
        seen_request_count, pairing
    )
    select
        $1::uuid, a.user_id, a.hour_start, $4::uuid as device_id, a.source, a.model,
        coalesce(a.input_tokens, 0) * w.of_from + coalesce(b.input_tokens, 0) * w.of_into as input_tokens,
        coalesce(a.cache_read_tokens, 0) * w.of_from + coalesce(b.cache_read_tokens, 0) * w.of_into
            as cache_read_tokens,
        coalesce(a.cache_write_5m_tokens, 0) * w.of_from + coalesce(b.cache_write_5m_tokens, 0) * w.of_into
            as cache_write_5m_tokens,
        coalesce(a.cache_write_1h_tokens, 0) * w.of_from + coalesce(b.cache_write_1h_tokens, 0) * w.of_into
            as cache_write_1h_tokens,
        coalesce(a.output_tokens, 0) * w.of_from + coalesce(b.output_tokens, 0) * w.of_into as output_tokens,
        coalesce(a.reasoning_tokens, 0) * w.of_from + coalesce(b.reasoning_tokens, 0) * w.of_into as reasoning_tokens,
        coalesce(a.unclassified_tokens, 0) * w.of_from + coalesce(b.unclassified_tokens, 0) * w.of_into
            as unclassified_tokens,
        coalesce(a.request_count, 0) * w.of_from + coalesce(b.request_count, 0) * w.of_into as request_count,
        b.observed_at, b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens,
        b.cache_write_1h_tokens, b.output_tokens, b.reasoning_tokens, b.unclassified_tokens,
        b.request_count, p.pairing
    from usage.bucket a
    left join lateral (
        select b.*
        from usage.bucket b
        where b.user_id = a.user_id
          and b.hour_start = a.hour_start
          and b.device_id = $4::uuid
          and b.source = a.source
          and b.model = a.model
        -- Without this the planner may look for the device alone, all of it for each row: it does so before it knows how many
        -- rows there are.
        offset 0
    ) b on true
    cross join lateral (
        select case
            when b.user_id is null then 'only_in_from'
            when (
                a.input_tokens, a.cache_read_tokens, a.cache_write_5m_tokens, a.cache_write_1h_tokens,
                a.output_tokens, a.reasoning_tokens, a.unclassified_tokens, a.request_count
            ) = (
                b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
                b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count
            ) then 'equal'
            else 'different'
        end as pairing,
        a.input_tokens + a.cache_read_tokens + a.cache_write_5m_tokens + a.cache_write_1h_tokens
            + a.output_tokens + a.unclassified_tokens
            > b.input_tokens + b.cache_read_tokens + b.cache_write_5m_tokens + b.cache_write_1h_tokens
            + b.output_tokens + b.unclassified_tokens as is_larger
    ) p
    cross join lateral (
        select
            case
                when p.pairing = 'only_in_from' then 1
                when p.pairing = 'equal' then 0
                when $7::text in ('sum', 'from') or ($7::text = 'larger' and p.is_larger) then 1
                else 0
            end as of_from,
            case
                when p.pairing = 'different' and ($7::text = 'from' or ($7::text = 'larger' and p.is_larger)) then 0
                else 1
            end as of_into
    ) w
    where a.user_id = $2
      and a.device_id = $3
      and a.hour_start >= $5
      and a.hour_start <= $6
      and not exists (
          select from usage.horizon h
          where h.user_id = a.user_id and a.hour_start < h.first_hour
      )
    returning user_id, hour_start, device_id, source, model, pairing
)
insert into backfill.plan_row (
    job_id, user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    seen_observed_at, seen_input_tokens, seen_cache_read_tokens, seen_cache_write_5m_tokens,
    seen_cache_write_1h_tokens, seen_output_tokens, seen_reasoning_tokens, seen_unclassified_tokens,
    seen_request_count, pairing, removes
)
select
    $1::uuid, a.user_id, a.hour_start, a.device_id, a.source, a.model,
    0, 0, 0, 0, 0, 0, 0, 0,
    a.observed_at, a.input_tokens, a.cache_read_tokens, a.cache_write_5m_tokens,
    a.cache_write_1h_tokens, a.output_tokens, a.reasoning_tokens, a.unclassified_tokens,
    a.request_count, k.pairing, true
from kept k
join usage.bucket a
    on a.user_id = k.user_id
    and a.hour_start = k.hour_start
    and a.device_id = $3
    and a.source = k.source
    and a.model = k.model
