-- Fills rollups of users that nobody reads: two rows a day for 30 days.
-- $1 users: how many.
with stranger as (
    select gen_random_uuid() as user_id, gen_random_uuid() as device_id from generate_series(1, $1::integer)
),
state as (
    insert into rollup.user_state (user_id, time_zone, version) select user_id, 'UTC', 1 from stranger
)
insert into rollup.daily (
    user_id, day, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count, bucket_count
)
select s.user_id, current_date - n as day, s.device_id, k.source, k.model, 1200, 90000, 0, 300, 800, 200, 0, 12, 16
from stranger s
cross join generate_series(0, 29) as g (n)
cross join (values ('claude-code', 'claude-opus-4-5'), ('codex', 'gpt-5.2-codex')) as k (source, model)
