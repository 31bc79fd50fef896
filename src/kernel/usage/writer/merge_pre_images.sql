-- Merges trackers' snapshots that lost against a correction into the correction's pre-image, by the
-- same order of versions as upsert_buckets.sql, in which rank 3 is compared as 2. Where the correction
-- inserted its bucket there is no pre-image yet, and the snapshot becomes it.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, sorted in this
-- order.
-- $6 … $13: the counts, in column order. $14 observed_ats, $15 stamped, $16 ranks: the versions.
-- $17 backfill_ids: the corrections; a key may come once for each.
-- Returns the entries that lost against an older correction in the pre-image, with that one's job.
-- Index: pre_image_pkey.
with entry as (
    select *
    from unnest(
        $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::timestamptz[], $15::boolean[], $16::smallint[], $17::uuid[]
    ) with ordinality as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank, backfill_id, position
    )
),
merged as (
    insert into usage.pre_image as p (
        user_id, hour_start, device_id, source, model, backfill_id,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank
    )
    select
        e.user_id, e.hour_start, e.device_id, e.source, e.model, e.backfill_id,
        e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
        e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count,
        e.observed_at, e.stamped, e.rank
    from entry e
    order by e.position
    on conflict (user_id, hour_start, device_id, source, model, backfill_id) do update set
        input_tokens = excluded.input_tokens,
        cache_read_tokens = excluded.cache_read_tokens,
        cache_write_5m_tokens = excluded.cache_write_5m_tokens,
        cache_write_1h_tokens = excluded.cache_write_1h_tokens,
        output_tokens = excluded.output_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        unclassified_tokens = excluded.unclassified_tokens,
        request_count = excluded.request_count,
        observed_at = excluded.observed_at,
        stamped = excluded.stamped,
        rank = excluded.rank,
        prior_backfill_id = null
    where (
        least(excluded.rank, 2::smallint),
        usage.version_instant(excluded.rank, excluded.observed_at),
        usage.version_total(
            excluded.rank,
            excluded.input_tokens + excluded.cache_read_tokens + excluded.cache_write_5m_tokens
                + excluded.cache_write_1h_tokens + excluded.output_tokens
                + excluded.unclassified_tokens
        ),
        excluded.input_tokens, excluded.cache_read_tokens, excluded.cache_write_5m_tokens,
        excluded.cache_write_1h_tokens, excluded.output_tokens, excluded.reasoning_tokens,
        excluded.unclassified_tokens, excluded.request_count,
        excluded.observed_at
    ) > (
        usage.rank_of(p.rank, p.hour_start, p.observed_at, p.prior_backfill_id is not null),
        usage.version_instant(usage.rank_of(p.rank, p.hour_start, p.observed_at, p.prior_backfill_id is not null), p.observed_at),
        usage.version_total(
            usage.rank_of(p.rank, p.hour_start, p.observed_at, p.prior_backfill_id is not null),
            p.input_tokens + p.cache_read_tokens + p.cache_write_5m_tokens + p.cache_write_1h_tokens
                + p.output_tokens + p.unclassified_tokens
        ),
        p.input_tokens, p.cache_read_tokens, p.cache_write_5m_tokens, p.cache_write_1h_tokens,
        p.output_tokens, p.reasoning_tokens, p.unclassified_tokens, p.request_count,
        p.observed_at
    )
    and (p.prior_backfill_id is null or excluded.stamped)
    returning p.user_id, p.hour_start, p.device_id, p.source, p.model, p.backfill_id
)
select e.position as "position!", p.prior_backfill_id as "prior_backfill_id!"
from entry e
join usage.pre_image p
    on p.user_id = e.user_id
    and p.hour_start = e.hour_start
    and p.device_id = e.device_id
    and p.source = e.source
    and p.model = e.model
    and p.backfill_id = e.backfill_id
where p.prior_backfill_id is not null
  and not exists (
      select from merged m
      where m.user_id = e.user_id
        and m.hour_start = e.hour_start
        and m.device_id = e.device_id
        and m.source = e.source
        and m.model = e.model
        and m.backfill_id = e.backfill_id
  )
