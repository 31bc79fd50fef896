-- Fills past days for every device with an account: 32 buckets a day, every 90 minutes two of the
-- eight kinds.
-- $1 days: how many, up to yesterday; $2 sources, $3 models: the kinds, position by position.
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
    select n, date_trunc('day', now()) - n * interval '90 minutes' as hour_start
    from generate_series(1, $1::integer * 16) as g (n)
) h
cross join lateral unnest($2::text[], $3::text[]) with ordinality as k (source, model, position)
where (k.position - 1) / 2 = h.n % 4
order by d.user_id, h.hour_start, d.device_id, k.source collate "C", k.model collate "C"
