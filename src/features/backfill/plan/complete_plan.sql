-- Adds up the rows of a plan and makes the job one that can be executed. The fingerprint is a sum
-- of hashes, so that the order of the lines does not matter. It tells plans apart and is no
-- signature. A row whose bucket goes, as a merge has them, counts for the tokens and the rollup only.
-- $1 job_id, $2 lease_token; $3 fingerprint: of the whole request, null for commands.
-- Index: plan_row_pkey, user_pkey.
with line as materialized (
    select
        p.user_id, p.hour_start, p.device_id, p.source, p.model,
        p.seen_observed_at is not null as stood, not p.removes as writes,
        p.input_tokens + p.cache_read_tokens + p.cache_write_5m_tokens + p.cache_write_1h_tokens + p.output_tokens
            + p.unclassified_tokens as tokens_after,
        p.seen_input_tokens + p.seen_cache_read_tokens + p.seen_cache_write_5m_tokens
            + p.seen_cache_write_1h_tokens + p.seen_output_tokens + p.seen_unclassified_tokens as tokens_before,
        (
            p.input_tokens, p.cache_read_tokens, p.cache_write_5m_tokens, p.cache_write_1h_tokens,
            p.output_tokens, p.reasoning_tokens, p.unclassified_tokens, p.request_count
        ) is not distinct from (
            p.seen_input_tokens, p.seen_cache_read_tokens, p.seen_cache_write_5m_tokens,
            p.seen_cache_write_1h_tokens, p.seen_output_tokens, p.seen_reasoning_tokens,
            p.seen_unclassified_tokens, p.seen_request_count
        ) as equal,
        hash_record_extended(
            row(
                p.user_id, p.hour_start, p.device_id, p.source, p.model,
                p.input_tokens, p.cache_read_tokens, p.cache_write_5m_tokens, p.cache_write_1h_tokens,
                p.output_tokens, p.reasoning_tokens, p.unclassified_tokens, p.request_count, p.seen_observed_at
            ),
            0
        ) as hash
    from backfill.plan_row p
    where p.job_id = $1
),
summary as (
    select
        count(*) filter (where writes) as total,
        count(*) filter (where writes and not stood) as inserted,
        count(*) filter (where writes and stood and tokens_after > tokens_before) as raised,
        count(*) filter (where writes and stood and tokens_after < tokens_before) as lowered,
        count(*) filter (where writes and stood and tokens_after = tokens_before and not equal) as changed,
        count(*) filter (where writes and equal) as unchanged,
        coalesce(sum(tokens_before), 0) as tokens_before,
        coalesce(sum(tokens_after), 0) as tokens_after,
        encode(sha256(convert_to(format('%s %s', count(*), coalesce(sum(hash), 0)), 'UTF8')), 'hex') as plan_hash
    from line
),
touched as (
    select count(*) as rollup_rows
    from (
        select distinct r.user_id, (r.hour_start at time zone coalesce(u.time_zone, 'UTC'))::date, r.device_id, r.source, r.model
        from line r
        left join account.user u on u.user_id = r.user_id
        where not (r.equal and r.writes)
    ) d
)
update backfill.job j
set state = 'planned',
    version = j.version + 1,
    total = s.total,
    inserted = s.inserted,
    raised = s.raised,
    lowered = s.lowered,
    changed = s.changed,
    unchanged = s.unchanged,
    rollup_rows = t.rollup_rows,
    tokens_before = s.tokens_before,
    tokens_after = s.tokens_after,
    plan_hash = s.plan_hash,
    fingerprint = coalesce($3, j.fingerprint),
    lease_token = null,
    lease_until = null
from summary s, touched t
where j.job_id = $1 and j.lease_token = $2 and j.state = 'planning'
