-- Folds the local days that the named events touch, so that the rows of rollup.daily are again the
-- sums of usage.bucket. Rows without buckets are deleted and rows that differ are written. Rows
-- that are right already are left alone, so that a replay changes nothing. The version of a user
-- rises by one where a row changed.
-- Frozen days (before frozen_before) are never touched. A bucket that the user's zone counts to a
-- frozen day is summed into the first day that is not frozen.
-- Nothing is folded of a user who was erased, so that the events of one are consumed without effect.
-- A row has one rate: that of the book which the user's rows are in, at the half hour of its buckets.
-- Names and spans are looked up once for each pair of source and model of a user. A pair with one
-- rate throughout gets it after its buckets are summed, and only the buckets of the others are read a
-- second time and get theirs one by one. What the book does not name exactly has rate 0. A new rollup
-- begins in the book in force.
-- $1 user_ids, $2 ids: the events, position by position.
-- Returns the number of folded days, counted for each user.
-- It is one statement, so that it reads one snapshot. It needs the fold lock, whose holder alone
-- writes rollup.*. The conflict is with the constraint by name, which has the rate among its columns
-- or, before a first book was in force, has not (0039).
-- The laterals force index scans, whatever size the planner assumes for a common table expression. The
-- sums of a day are kept in an array, because a lateral would look for them in those of all days.
-- Index: outbox_pkey, user_state_pkey, user_pkey, erased_user_pkey, bucket_pkey, daily_pkey,
-- in_force_pkey, name_pkey, span_pkey.
with event as materialized (
    -- Many posts change the same half hours.
    select distinct o.user_id, o.topic, o.first_hour, o.last_hour
    from usage.outbox o
    where o.user_id = any($1::uuid[])
      and o.id = any($2::bigint[])
),
owner as materialized (
    select
        e.user_id, coalesce(s.time_zone, u.time_zone, 'UTC') as time_zone, s.frozen_before,
        case when s.user_id is null then (select f.book from price.in_force f where f.is_only) else s.book end as book
    from (select distinct user_id from event) e
    left join lateral (select s.* from rollup.user_state s where s.user_id = e.user_id offset 0) s on true
    left join lateral (select u.* from account.user u where u.user_id = e.user_id offset 0) u on true
    where not exists (select from account.erased_user x where x.user_id = e.user_id)
),
touched as materialized (
    select distinct o.user_id, o.time_zone, o.frozen_before, greatest(d.day, o.frozen_before) as day, o.book
    from owner o
    join event e on e.user_id = o.user_id
    cross join lateral unnest(
        case when e.topic = 'bucket_changed' then array(
            -- The day of every half hour, because the day of one in the middle may lie after that of the
            -- last, where a zone repeats the end of a day.
            select distinct (h.hour_start at time zone o.time_zone)::date
            from generate_series(e.first_hour, e.last_hour, interval '30 minutes') h (hour_start)
        )
        -- The hours may have no bounds. So these are the days that have buckets, and those that have
        -- rows and perhaps should not.
        else array(
            select (b.hour_start at time zone o.time_zone)::date
            from usage.bucket b
            where b.user_id = o.user_id and b.hour_start between e.first_hour and e.last_hour
            union
            select r.day
            from rollup.daily r
            where r.user_id = o.user_id
              and r.day >= (e.first_hour at time zone o.time_zone)::date
              and r.day <= greatest((e.last_hour at time zone o.time_zone)::date, o.frozen_before)
              and (o.frozen_before is null or r.day >= o.frozen_before)
        )
        end
    ) d (day)
),
summed as materialized (
    select
        t.*,
        array(
            select row(
                b.user_id, b.device_id, b.source, b.model,
                sum(b.input_tokens)::bigint,
                sum(b.cache_read_tokens)::bigint,
                sum(b.cache_write_5m_tokens)::bigint,
                sum(b.cache_write_1h_tokens)::bigint,
                sum(b.output_tokens)::bigint,
                sum(b.reasoning_tokens)::bigint,
                sum(b.unclassified_tokens)::bigint,
                sum(b.request_count)::bigint,
                count(*),
                min(h.begins_at), max(h.begins_at)
            )
            from usage.bucket b
            cross join lateral (select b.hour_start as begins_at) h
            where b.user_id = t.user_id
              -- The first day that is not frozen also takes buckets that the present zone would give
              -- to the day before.
              and b.hour_start >= usage.window_start(t.day, t.time_zone)
                  - case when t.day = t.frozen_before then interval '2 days' else interval '0 days' end
              and b.hour_start < usage.window_end(t.day, t.time_zone)
              and greatest((b.hour_start at time zone t.time_zone)::date, t.frozen_before) = t.day
            group by b.user_id, b.device_id, b.source, b.model
        ) as sums
    from touched t
),
pair as materialized (
    select t.user_id, t.book, s.source, s.model, min(s.first_hour) as first_hour, max(s.last_hour) as last_hour
    from summed t
    cross join lateral unnest(t.sums) s (
        user_id uuid, device_id uuid, source text, model text,
        input_tokens bigint, cache_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
        output_tokens bigint, reasoning_tokens bigint, unclassified_tokens bigint, request_count bigint,
        bucket_count bigint, first_hour timestamptz, last_hour timestamptz
    )
    where t.book is not null
    group by t.user_id, t.book, s.source, s.model
),
name as materialized (
    select p.book, p.source, p.model, n.sku
    from (select distinct book, source, model from pair) p
    cross join lateral (
        select n.sku
        from price.name n
        where n.book = p.book and n.source in ('', p.source) and n.name = p.model
        -- A tool's own list before the common one.
        order by n.source desc
        limit 1
    ) n
),
-- The first span that a pair's hours meet, and whether that is the only one.
price as materialized (
    select
        p.user_id, p.source, p.model, n.sku, v.threshold, v.short_rate_id, v.long_rate_id, v.range_rate_id,
        v.from_hour <= p.first_hour and v.to_hour > p.last_hour as is_whole
    from pair p
    join name n on n.book = p.book and n.source = p.source and n.model = p.model
    cross join lateral (
        select v.*
        from price.span v
        where v.book = p.book and v.sku = n.sku and v.from_hour <= p.last_hour and v.to_hour > p.first_hour
        order by v.from_hour
        limit 1
    ) v
),
-- Most pairs have one rate, whatever the bucket. The rate of the others depends on the bucket.
user_price as materialized (
    select
        p.user_id,
        array_agg(row(p.source, p.model, p.short_rate_id)) filter (where p.is_whole and p.threshold is null) as flat,
        array_agg(row(
            p.source, p.model, p.sku, p.threshold, p.short_rate_id, p.long_rate_id, p.range_rate_id, p.is_whole
        )) filter (where not (p.is_whole and p.threshold is null)) as varying
    from price p
    group by p.user_id
),
difference as materialized (
    select
        t.user_id, t.day, c.device_id, c.source, c.model, c.rate_id,
        c.input_tokens, c.cache_read_tokens, c.cache_write_5m_tokens, c.cache_write_1h_tokens,
        c.output_tokens, c.reasoning_tokens, c.unclassified_tokens, c.request_count, c.bucket_count,
        t.time_zone, t.book
    from summed t
    left join user_price u on u.user_id = t.user_id
    cross join lateral (
        select
            user_id, device_id, source, model, rate_id,
            f.input_tokens, f.cache_read_tokens, f.cache_write_5m_tokens, f.cache_write_1h_tokens,
            f.output_tokens, f.reasoning_tokens, f.unclassified_tokens, f.request_count, f.bucket_count
        from (
            select
                s.user_id, s.device_id, s.source, s.model, coalesce(w.rate_id, 0) as rate_id,
                s.input_tokens, s.cache_read_tokens, s.cache_write_5m_tokens, s.cache_write_1h_tokens,
                s.output_tokens, s.reasoning_tokens, s.unclassified_tokens, s.request_count, s.bucket_count
            from unnest(t.sums) s (
                user_id uuid, device_id uuid, source text, model text,
                input_tokens bigint, cache_read_tokens bigint, cache_write_5m_tokens bigint, cache_write_1h_tokens bigint,
                output_tokens bigint, reasoning_tokens bigint, unclassified_tokens bigint, request_count bigint,
                bucket_count bigint, first_hour timestamptz, last_hour timestamptz
            )
            left join unnest(u.flat) w (source text, model text, rate_id integer)
                on w.source = s.source and w.model = s.model
            where u.varying is null or not exists (
                select
                from unnest(u.varying) v (
                    source text, model text, sku text, threshold bigint,
                    short_rate_id integer, long_rate_id integer, range_rate_id integer, is_whole boolean
                )
                where v.source = s.source and v.model = s.model
            )
            union all
            select
                b.user_id, b.device_id, b.source, b.model, b.rate_id,
                sum(b.input_tokens)::bigint as input_tokens,
                sum(b.cache_read_tokens)::bigint as cache_read_tokens,
                sum(b.cache_write_5m_tokens)::bigint as cache_write_5m_tokens,
                sum(b.cache_write_1h_tokens)::bigint as cache_write_1h_tokens,
                sum(b.output_tokens)::bigint as output_tokens,
                sum(b.reasoning_tokens)::bigint as reasoning_tokens,
                sum(b.unclassified_tokens)::bigint as unclassified_tokens,
                sum(b.request_count)::bigint as request_count,
                count(*) as bucket_count
            from (
                select
                    b.*,
                    usage.rate_of(
                        v.threshold, b.request_count, usage.prompt_of(b), usage.longest_prompt_of(b),
                        v.short_rate_id, v.long_rate_id, v.range_rate_id
                    ) as rate_id
                from usage.bucket b
                cross join lateral (
                    select p.*
                    from unnest(u.varying) p (
                        source text, model text, sku text, threshold bigint,
                        short_rate_id integer, long_rate_id integer, range_rate_id integer, is_whole boolean
                    )
                    where p.source = b.source and p.model = b.model
                    offset 0
                ) p
                left join lateral (
                    select p.threshold, p.short_rate_id, p.long_rate_id, p.range_rate_id where p.is_whole
                    union all
                    select v.threshold, v.short_rate_id, v.long_rate_id, v.range_rate_id
                    from (
                        select v.*
                        from price.span v
                        where not p.is_whole and v.book = t.book and v.sku = p.sku and v.from_hour <= b.hour_start
                        order by v.from_hour desc
                        limit 1
                    ) v
                    where v.to_hour > b.hour_start
                ) v on true
                where u.varying is not null
                  and b.user_id = t.user_id
                  and b.hour_start >= usage.window_start(t.day, t.time_zone)
                      - case when t.day = t.frozen_before then interval '2 days' else interval '0 days' end
                  and b.hour_start < usage.window_end(t.day, t.time_zone)
                  and greatest((b.hour_start at time zone t.time_zone)::date, t.frozen_before) = t.day
            ) b
            group by b.user_id, b.device_id, b.source, b.model, b.rate_id
        ) f
        full join (
            select r.*
            from rollup.daily r
            where r.user_id = t.user_id and r.day = t.day
        ) r using (user_id, device_id, source, model, rate_id)
        where (
            f.input_tokens, f.cache_read_tokens, f.cache_write_5m_tokens, f.cache_write_1h_tokens,
            f.output_tokens, f.reasoning_tokens, f.unclassified_tokens, f.request_count, f.bucket_count
        ) is distinct from (
            r.input_tokens, r.cache_read_tokens, r.cache_write_5m_tokens, r.cache_write_1h_tokens,
            r.output_tokens, r.reasoning_tokens, r.unclassified_tokens, r.request_count, r.bucket_count
        )
    ) c
),
gone as (
    delete from rollup.daily r
    using difference d
    where d.bucket_count is null
      and r.user_id = d.user_id
      and r.day = d.day
      and r.device_id = d.device_id
      and r.source = d.source
      and r.model = d.model
      and r.rate_id = d.rate_id
),
written as (
    insert into rollup.daily as r (
        user_id, day, device_id, source, model, rate_id,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count, bucket_count
    )
    select
        d.user_id, d.day, d.device_id, d.source, d.model, d.rate_id,
        d.input_tokens, d.cache_read_tokens, d.cache_write_5m_tokens, d.cache_write_1h_tokens,
        d.output_tokens, d.reasoning_tokens, d.unclassified_tokens, d.request_count, d.bucket_count
    from difference d
    where d.bucket_count is not null
    on conflict on constraint daily_pkey do update set
        input_tokens = excluded.input_tokens,
        cache_read_tokens = excluded.cache_read_tokens,
        cache_write_5m_tokens = excluded.cache_write_5m_tokens,
        cache_write_1h_tokens = excluded.cache_write_1h_tokens,
        output_tokens = excluded.output_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        unclassified_tokens = excluded.unclassified_tokens,
        request_count = excluded.request_count,
        bucket_count = excluded.bucket_count
),
state as (
    insert into rollup.user_state as s (user_id, time_zone, book, version)
    select user_id, time_zone, book, max(changed)
    from (
        select user_id, time_zone, book, 0 as changed from touched
        union all
        select user_id, time_zone, book, 1 as changed from difference
    ) t
    group by user_id, time_zone, book
    on conflict (user_id) do update set version = s.version + 1
    where excluded.version > 0
)
select count(*) as "user_days!" from touched
