-- Fills buckets of users that nobody reads: 32 a day for 30 days, every 90 minutes two of four
-- kinds.
-- $1 users: how many.
insert into usage.bucket (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, changed_at
)
select
    s.user_id, h.hour_start, s.device_id, k.source, k.model,
    1200, 90000, 0, 300, 800, 200, 0, 12,
    h.hour_start + interval '29 minutes', true, h.hour_start + interval '30 minutes'
from (
    select gen_random_uuid() as user_id, gen_random_uuid() as device_id from generate_series(1, $1::bigint)
) s
cross join lateral (
    select n, date_trunc('day', now()) - n * interval '90 minutes' as hour_start
    from generate_series(1, 30 * 16) as g (n)
) h
join (values
    (0, 'claude-code', 'claude-haiku-4-5'), (0, 'claude-code', 'claude-opus-4-5'), (1, 'codex', 'gpt-5.2'), (1, 'cursor', 'glm-4.7')
) as k (turn, source, model) on k.turn = h.n % 2
