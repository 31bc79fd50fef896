-- Reads a page of the user's buckets in the order of their key, which is also the order of time.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing; $7 time_zone: of the local days; $8 hour_start, $9 device_id, $10 source,
-- $11 model: the last bucket of the page before; $12 limit.
-- Index: bucket_pkey. The window gives the index its bounds, and the local date is compared
-- besides.
select
    b.hour_start, b.device_id, b.source, b.model,
    b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.total_tokens, b.request_count,
    b.observed_at, b.changed_at, b.stamped,
    b.backfill_id is not null as "corrected!"
from usage.bucket b
where b.user_id = $1
  -- One lower bound and not two, because PostgreSQL would begin at the one that is written first, and
  -- read all that lies between them.
  and (b.hour_start, b.device_id, b.source, b.model) > (
      greatest($8::timestamptz, usage.window_start($2::date, $7::text)),
      $9::uuid, $10::text, $11::text
  )
  and b.hour_start < usage.window_end($3::date, $7::text)
  and (b.hour_start at time zone $7::text)::date between $2::date and $3::date
  and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
order by b.hour_start, b.device_id, b.source, b.model
limit $12
