-- Fills the rollups of all buckets, for users in UTC. Rows come day by day, as the relay writes
-- them while usage arrives.
-- No parameters.
insert into rollup.daily (
    user_id, day, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count, bucket_count
)
select
    b.user_id, (b.hour_start at time zone 'UTC')::date, b.device_id, b.source, b.model,
    sum(b.input_tokens), sum(b.cache_read_tokens), sum(b.cache_write_5m_tokens), sum(b.cache_write_1h_tokens),
    sum(b.output_tokens), sum(b.reasoning_tokens), sum(b.unclassified_tokens), sum(b.request_count), count(*)
from usage.bucket b
group by b.user_id, (b.hour_start at time zone 'UTC')::date, b.device_id, b.source, b.model
order by 2, 1, 3, 4, 5
on conflict do nothing;
insert into rollup.user_state (user_id, time_zone, version)
select u.user_id, 'UTC', 1 from account.user u
on conflict do nothing
