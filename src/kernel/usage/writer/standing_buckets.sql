-- Returns the stored bucket for each snapshot that was not written, so that its verdict can be
-- told.
-- It runs after upsert_buckets.sql as a statement of its own, and so sees what won there.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, position by
-- position.
-- Each array is read by subscript, because Citus cannot join a distributed table with an unnest of
-- several arrays.
-- Index: bucket_pkey, erasure_pkey.
select
    i.position as "position!",
    coalesce(b.input_tokens, 0) as "input_tokens!",
    coalesce(b.cache_read_tokens, 0) as "cache_read_tokens!",
    coalesce(b.cache_write_5m_tokens, 0) as "cache_write_5m_tokens!",
    coalesce(b.cache_write_1h_tokens, 0) as "cache_write_1h_tokens!",
    coalesce(b.output_tokens, 0) as "output_tokens!",
    coalesce(b.reasoning_tokens, 0) as "reasoning_tokens!",
    coalesce(b.unclassified_tokens, 0) as "unclassified_tokens!",
    coalesce(b.request_count, 0) as "request_count!",
    b.user_id is not null as "stands!",
    b.observed_at as "observed_at?",
    b.backfill_id,
    (
        select max(x.erased_at)
        from usage.erasure x
        where x.user_id = ($1::uuid[])[i.position]
          and ($2::timestamptz[])[i.position] between x.first_hour and x.last_hour
          and (x.device_id is null or x.device_id = ($3::uuid[])[i.position])
          and (x.source is null or x.source = ($4::text[])[i.position])
    ) as erased_at
from generate_series(1, cardinality($1::uuid[])) as i (position)
left join usage.bucket b
    on b.user_id = ($1::uuid[])[i.position]
    and b.hour_start = ($2::timestamptz[])[i.position]
    and b.device_id = ($3::uuid[])[i.position]
    and b.source = ($4::text[])[i.position]
    and b.model = ($5::text[])[i.position]
