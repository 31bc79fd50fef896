-- Fills a past for every device, so that posts meet a table of a certain size: half hours up to $1,
-- eight buckets each.
-- $1 until: the half hour after the last; $2 half_hours: how many of each device.
-- $3 sources, $4 models: the eight kinds of bucket, position by position.
insert into usage.bucket (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, changed_at
)
select
    d.user_id, h.hour_start, d.device_id, k.source, k.model,
    1200, 90000, 0, 300, 800, 200, 0, 12,
    h.hour_start + interval '29 minutes', true, h.hour_start + interval '30 minutes'
from account.device d
cross join lateral (
    select $1::timestamptz - n * interval '30 minutes' as hour_start
    from generate_series(1, $2::bigint) as g (n)
) h
cross join unnest($3::text[], $4::text[]) as k (source, model)
order by d.user_id, h.hour_start, d.device_id, k.source collate "C", k.model collate "C"
