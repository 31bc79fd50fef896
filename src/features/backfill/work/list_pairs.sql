-- Reads the next pairs of a merge, in the order in which they are moved: the row of the into-device,
-- with what the from-device's bucket said when it was planned.
-- $1 job_id; $2 user_id, $3 hour_start, $4 device_id, $5 source, $6 model: the last pair before, by
-- the into-device's key, or a key below all rows; $7 from_device_id; $8 limit.
-- Index: plan_row_pkey.
select
    i.user_id, i.hour_start, i.device_id, i.source, i.model,
    i.input_tokens, i.cache_read_tokens, i.cache_write_5m_tokens, i.cache_write_1h_tokens,
    i.output_tokens, i.reasoning_tokens, i.unclassified_tokens, i.request_count,
    i.seen_observed_at, i.seen_input_tokens, i.seen_cache_read_tokens, i.seen_cache_write_5m_tokens,
    i.seen_cache_write_1h_tokens, i.seen_output_tokens, i.seen_reasoning_tokens, i.seen_unclassified_tokens,
    i.seen_request_count,
    f.seen_observed_at as "from_observed_at!", f.seen_input_tokens as "from_input_tokens!",
    f.seen_cache_read_tokens as "from_cache_read_tokens!",
    f.seen_cache_write_5m_tokens as "from_cache_write_5m_tokens!",
    f.seen_cache_write_1h_tokens as "from_cache_write_1h_tokens!",
    f.seen_output_tokens as "from_output_tokens!", f.seen_reasoning_tokens as "from_reasoning_tokens!",
    f.seen_unclassified_tokens as "from_unclassified_tokens!", f.seen_request_count as "from_request_count!"
from backfill.plan_row i
join backfill.plan_row f
    on f.job_id = i.job_id
    and f.user_id = i.user_id
    and f.hour_start = i.hour_start
    and f.device_id = $7
    and f.source = i.source
    and f.model = i.model
where i.job_id = $1
  and not i.removes
  and (i.user_id, i.hour_start, i.device_id, i.source, i.model) > ($2, $3, $4, $5, $6)
order by i.user_id, i.hour_start, i.device_id, i.source, i.model
limit $8
