-- Gives users what the demo's user has, with devices of their own.
-- $1 user_ids: whom.
with demo as (
    select u.user_id from account.user u where u.name = 'demo'
),
copy as materialized (
    select v.user_id, d.device_id as copied_id, gen_random_uuid() as device_id, d.name, d.platform
    from unnest($1::uuid[]) as v (user_id)
    cross join account.device d
    where d.user_id = (select demo.user_id from demo)
),
device as (
    insert into account.device (user_id, device_id, name, platform)
    select c.user_id, c.device_id, c.name, c.platform from copy c
)
insert into usage.bucket (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, changed_at
)
select
    c.user_id, b.hour_start, c.device_id, b.source, b.model,
    b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count,
    b.observed_at, b.stamped, b.changed_at
from copy c
join usage.bucket b on b.device_id = c.copied_id
where b.user_id = (select demo.user_id from demo)
order by c.user_id, b.hour_start, c.device_id, b.source collate "C", b.model collate "C"
