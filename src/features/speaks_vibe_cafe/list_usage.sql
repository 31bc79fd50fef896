-- Lists a user's buckets from an instant on, in the order of their key, which is also the order of time.
-- $1 user_id, $2 device_id or null for all devices, $3 from, $4 limit.
-- Index: bucket_pkey, device_pkey.
select
    b.hour_start, b.device_id, b.source, b.model,
    b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count,
    d.name as device_name
from usage.bucket b
join account.device d on d.user_id = b.user_id and d.device_id = b.device_id
where b.user_id = $1
  and b.hour_start >= $3::timestamptz
  and ($2::uuid is null or b.device_id = $2::uuid)
order by b.hour_start, b.device_id, b.source, b.model
limit $4
