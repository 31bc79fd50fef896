-- Inserts the buckets of devices anew, as buckets of other devices, each with its version and what
-- usage.rank_of gives for it, now that it has a mark: 4 stands for late and silent. They are marked with the job, so that what loses against them is merged into a pre-image.
-- The caller has locked the buckets. What stands already is left alone.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys as they are, sorted;
-- $6 into_device_ids: position by position.
-- $7 backfill_id: the job; $8 changed_at: now, an instant that no other statement of this process
-- was given.
-- Returns the keys of what was inserted.
-- Index: bucket_pkey.
insert into usage.bucket (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, rank, backfill_id, changed_at
)
select
    b.user_id, b.hour_start, k.into_device_id as device_id, b.source, b.model,
    b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count,
    b.observed_at, b.stamped,
    case
        when b.rank = 3 then 3
        when usage.rank_of(b.rank, b.hour_start, b.observed_at, b.backfill_id is not null) = 0 then 4
        else usage.rank_of(b.rank, b.hour_start, b.observed_at, b.backfill_id is not null)
    end as rank,
    $7::uuid, $8::timestamptz
from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::uuid[]) with ordinality
    as k (user_id, hour_start, device_id, source, model, into_device_id, position)
join usage.bucket b
    on b.user_id = k.user_id
    and b.hour_start = k.hour_start
    and b.device_id = k.device_id
    and b.source = k.source
    and b.model = k.model
order by k.position
on conflict (user_id, hour_start, device_id, source, model) do nothing
returning user_id, hour_start, device_id, source, model
