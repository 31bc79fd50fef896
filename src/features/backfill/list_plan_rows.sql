-- Reads a page of a plan, in the order in which it is executed.
-- $1 job_id; $2 user_id, $3 hour_start, $4 device_id, $5 source, $6 model: the last row of the page
-- before, or a key below all rows; $7 limit.
-- Index: plan_row_pkey.
select
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    seen_observed_at, seen_input_tokens, seen_cache_read_tokens, seen_cache_write_5m_tokens,
    seen_cache_write_1h_tokens, seen_output_tokens, seen_reasoning_tokens, seen_unclassified_tokens,
    seen_request_count, pairing, removes
from backfill.plan_row
where job_id = $1
  and (user_id, hour_start, device_id, source, model) > ($2, $3, $4, $5, $6)
order by user_id, hour_start, device_id, source, model
limit $7
