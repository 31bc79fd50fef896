-- Adds counts to every version of a bucket that corrections hide: to the pre-image of the correction
-- that stands, and to those of older corrections under it. Where a correction has inserted its
-- bucket there is no pre-image yet, and what is added becomes it. So a correction that is taken back
-- loses nothing that arrived meanwhile. The transaction has added the same to the buckets, whose
-- locks keep others away.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, distinct.
-- $6 … $13: what is added, in column order. $14 observed_at, $15 ranks: as in add_to_buckets.sql.
-- $16 backfill_ids: the corrections that stand.
-- Index: pre_image_pkey.
with entry as materialized (
    select *
    from unnest(
        $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $15::smallint[], $16::uuid[]
    ) as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        rank, backfill_id
    )
)
insert into usage.pre_image as p (
    user_id, hour_start, device_id, source, model, backfill_id,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, rank
)
select
    e.user_id, e.hour_start, e.device_id, e.source, e.model, c.backfill_id,
    e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
    e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count,
    $14::timestamptz, false, e.rank
from entry e
cross join lateral (
    select e.backfill_id
    union
    select o.prior_backfill_id
    from usage.pre_image o
    where o.user_id = e.user_id
      and o.hour_start = e.hour_start
      and o.device_id = e.device_id
      and o.source = e.source
      and o.model = e.model
      and o.prior_backfill_id is not null
) c
on conflict (user_id, hour_start, device_id, source, model, backfill_id) do update set
    input_tokens = p.input_tokens + excluded.input_tokens,
    cache_read_tokens = p.cache_read_tokens + excluded.cache_read_tokens,
    cache_write_5m_tokens = p.cache_write_5m_tokens + excluded.cache_write_5m_tokens,
    cache_write_1h_tokens = p.cache_write_1h_tokens + excluded.cache_write_1h_tokens,
    output_tokens = p.output_tokens + excluded.output_tokens,
    reasoning_tokens = p.reasoning_tokens + excluded.reasoning_tokens,
    unclassified_tokens = p.unclassified_tokens + excluded.unclassified_tokens,
    request_count = p.request_count + excluded.request_count,
    observed_at = greatest(p.observed_at, excluded.observed_at),
    rank = case when p.prior_backfill_id is null then greatest(p.rank, excluded.rank) else p.rank end
