-- A page of the user's buckets in the order of their key, which is also the order of time.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty list filters nothing;
-- $7 time_zone: whose local days; $8 hour_start, $9 device_id, $10 source, $11 model: the bucket before the page;
-- $12 limit.
-- Index: bucket_pkey. The bounds are wide enough for a midnight that is skipped or comes twice; the date is exact.
select
    b.hour_start, b.device_id, b.source, b.model,
    b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.total_tokens, b.request_count,
    b.observed_at, b.changed_at, b.stamped,
    b.backfill_id is not null as "corrected!"
from usage.bucket b
where b.user_id = $1
  -- One bound: of two, PostgreSQL would start at the first that is written, and read all that lies between.
  and (b.hour_start, b.device_id, b.source, b.model) > (
      greatest($8::timestamptz, ($2::date::timestamp at time zone $7::text) - interval '3 hours'),
      $9::uuid, $10::text, $11::text
  )
  and b.hour_start < (($3::date + 1)::timestamp at time zone $7::text) + interval '3 hours'
  and (b.hour_start at time zone $7::text)::date between $2::date and $3::date
  and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
order by b.hour_start, b.device_id, b.source, b.model
limit $12
