-- Compares the fold of one user's buckets with the rows of the rollup, day by day. A day that an
-- event may still change is pending and counts as no drift. So is every day of a user whose erasure
-- is still being carried out. Frozen days are not compared.
-- $1 user_id; $2 from, $3 to: local days, inclusive; null for no bound.
-- A row whose rate is not the one of the user's book has drifted, too.
-- Returns the days that drifted, each beside the counts of all days, or one row without a day.
-- Index: user_state_pkey, user_pkey, bucket_pkey, daily_pkey, outbox_pkey, erased_user_pkey,
-- in_force_pkey, name_pkey, span_pkey.
with state as materialized (
    select
        z.time_zone, s.frozen_before, case when s.user_id is null then f.book else s.book end as book,
        greatest(coalesce($2::date, '-infinity'), coalesce(s.frozen_before, '-infinity')) as first_day,
        coalesce($3::date, 'infinity') as last_day
    from (select $1::uuid as user_id) i
    left join rollup.user_state s on s.user_id = i.user_id
    left join account.user u on u.user_id = i.user_id
    left join price.in_force f on f.is_only
    cross join lateral (select coalesce(s.time_zone, u.time_zone, 'UTC') as time_zone) z
),
bucket as materialized (
    select
        greatest((b.hour_start at time zone z.time_zone)::date, z.frozen_before) as day,
        b.device_id, b.source, b.model, z.book, b.begins_at,
        b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
        b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.total_tokens, b.request_count,
        b.prompt_tokens, b.longest_prompt
    from state z
    -- The subquery that is not merged into the statement makes it read by the days that are asked for.
    cross join lateral (
        select b.*, b.hour_start as begins_at,
            usage.prompt_of(b) as prompt_tokens, usage.longest_prompt_of(b) as longest_prompt
        from usage.bucket b
        where b.user_id = $1
          and b.hour_start >= usage.window_start(z.first_day, z.time_zone)
              - case when z.first_day = z.frozen_before then interval '2 days' else interval '0 days' end
          and b.hour_start < usage.window_end(z.last_day, z.time_zone)
        offset 0
    ) b
    where greatest((b.hour_start at time zone z.time_zone)::date, z.frozen_before) between z.first_day and z.last_day
),
pair as materialized (
    select b.source, b.model, b.book
    from bucket b
    where b.book is not null
    group by b.source, b.model, b.book
),
pair_span as materialized (
    select
        p.source, p.model, v.from_hour, v.to_hour, v.threshold,
        v.short_rate_id, v.long_rate_id, v.range_rate_id
    from pair p
    cross join lateral (
        select n.sku
        from price.name n
        where n.book = p.book and n.source in ('', p.source) and n.name = p.model
        order by n.source desc
        limit 1
    ) n
    cross join lateral (
        select v.* from price.span v where v.book = p.book and v.sku = n.sku offset 0
    ) v
),
rated as (
    select
        b.*,
        usage.rate_of(
            v.threshold, b.request_count, b.prompt_tokens, b.longest_prompt,
            v.short_rate_id, v.long_rate_id, v.range_rate_id
        ) as rate_id
    from bucket b
    left join pair_span v on v.source = b.source
        and v.model = b.model
        and b.begins_at >= v.from_hour
        and b.begins_at < v.to_hour
),
expected as materialized (
    select
        b.day, b.device_id, b.source, b.model, b.rate_id,
        sum(b.input_tokens)::bigint as input_tokens,
        sum(b.cache_read_tokens)::bigint as cache_read_tokens,
        sum(b.cache_write_5m_tokens)::bigint as cache_write_5m_tokens,
        sum(b.cache_write_1h_tokens)::bigint as cache_write_1h_tokens,
        sum(b.output_tokens)::bigint as output_tokens,
        sum(b.reasoning_tokens)::bigint as reasoning_tokens,
        sum(b.unclassified_tokens)::bigint as unclassified_tokens,
        sum(b.total_tokens)::bigint as total_tokens,
        sum(b.request_count)::bigint as request_count,
        count(*) as bucket_count
    from rated b
    group by 1, 2, 3, 4, 5
),
compared as (
    select
        day,
        count(*) filter (where r.bucket_count is null) as missing_rows,
        count(*) filter (where e.bucket_count is null) as extra_rows,
        count(*) filter (where (
            e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
            e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count, e.bucket_count
        ) <> (
            r.input_tokens, r.cache_read_tokens, r.cache_write_5m_tokens, r.cache_write_1h_tokens,
            r.output_tokens, r.reasoning_tokens, r.unclassified_tokens, r.request_count, r.bucket_count
        )) as different_rows,
        coalesce(sum(e.total_tokens), 0)::bigint as expected_tokens,
        coalesce(sum(r.total_tokens), 0)::bigint as actual_tokens
    from expected e
    full join (
        select r.*
        from state z
        cross join lateral (
            select r.*
            from rollup.daily r
            where r.user_id = $1 and r.day between z.first_day and z.last_day
            offset 0
        ) r
    ) r using (day, device_id, source, model, rate_id)
    group by day
),
judged as materialized (
    select
        c.*,
        exists (
            select from usage.outbox o
            where o.user_id = $1
              and greatest((o.first_hour at time zone z.time_zone)::date, z.frozen_before) <= c.day
              and greatest((o.last_hour at time zone z.time_zone)::date, z.frozen_before) >= c.day
        ) or exists (
            select from account.erased_user x where x.user_id = $1 and x.finished_at is null
        ) as is_pending
    from compared c
    cross join state z
)
select
    counted.compared as "compared!",
    counted.pending as "pending!",
    j.day as "day?",
    coalesce(j.missing_rows, 0) as "missing_rows!",
    coalesce(j.extra_rows, 0) as "extra_rows!",
    coalesce(j.different_rows, 0) as "different_rows!",
    coalesce(j.expected_tokens, 0) as "expected_tokens!",
    coalesce(j.actual_tokens, 0) as "actual_tokens!"
from (select count(*) as compared, count(*) filter (where is_pending) as pending from judged) counted
left join judged j on not j.is_pending and j.missing_rows + j.extra_rows + j.different_rows > 0
order by j.day
