-- Counts the plan rows whose bucket has changed since the plan, up to a limit.
-- $1 job_id; $2 limit.
-- Index: plan_row_pkey, bucket_pkey.
select count(*) as "count!"
from (
    select
    from backfill.plan_row p
    left join usage.bucket b
        on b.user_id = p.user_id
        and b.hour_start = p.hour_start
        and b.device_id = p.device_id
        and b.source = p.source
        and b.model = p.model
    where p.job_id = $1
      and (
          b.observed_at,
          b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
          b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count
      ) is distinct from (
          p.seen_observed_at,
          p.seen_input_tokens, p.seen_cache_read_tokens, p.seen_cache_write_5m_tokens, p.seen_cache_write_1h_tokens,
          p.seen_output_tokens, p.seen_reasoning_tokens, p.seen_unclassified_tokens, p.seen_request_count
      )
    limit $2
) moved
