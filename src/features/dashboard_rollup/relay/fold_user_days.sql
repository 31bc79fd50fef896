-- Folds the local days that the named events touch, so that the rows of rollup.daily are again the
-- sums of usage.bucket. Rows without buckets are deleted and rows that differ are written. Rows
-- that are right already are left alone, so that a replay changes nothing. The version of a user
-- rises by one where a row changed.
-- Frozen days (before frozen_before) are never touched. A bucket that the user's zone counts to a
-- frozen day is summed into the first day that is not frozen.
-- Nothing is folded of a user who was erased, so that the events of one are consumed without effect.
-- $1 user_ids, $2 ids: the events, position by position.
-- Returns the number of folded days, counted for each user.
-- It is one statement, so that it reads one snapshot. It needs the fold lock, whose holder alone
-- writes rollup.*.
-- The laterals force index scans, whatever size the planner assumes for a common table expression.
-- Index: outbox_pkey, user_state_pkey, user_pkey, erased_user_pkey, bucket_pkey, daily_pkey.
with touched as materialized (
    select distinct o.user_id, z.time_zone, s.frozen_before, greatest(d.day, s.frozen_before) as day
    from usage.outbox o
    left join rollup.user_state s on s.user_id = o.user_id
    left join account.user u on u.user_id = o.user_id
    cross join lateral (select coalesce(s.time_zone, u.time_zone, 'UTC') as time_zone) z
    cross join lateral unnest(
        case when o.topic = 'bucket_changed' then array(
            -- The day of every half hour, because the day of one in the middle may lie after that of the
            -- last, where a zone repeats the end of a day.
            select distinct (h.hour_start at time zone z.time_zone)::date
            from generate_series(o.first_hour, o.last_hour, interval '30 minutes') h (hour_start)
        )
        -- The hours may have no bounds. So these are the days that have buckets, and those that have
        -- rows and perhaps should not.
        else array(
            select (b.hour_start at time zone z.time_zone)::date
            from usage.bucket b
            where b.user_id = o.user_id and b.hour_start between o.first_hour and o.last_hour
            union
            select r.day
            from rollup.daily r
            where r.user_id = o.user_id
              and r.day >= (o.first_hour at time zone z.time_zone)::date
              and r.day <= greatest((o.last_hour at time zone z.time_zone)::date, s.frozen_before)
              and (s.frozen_before is null or r.day >= s.frozen_before)
        )
        end
    ) d (day)
    where o.user_id = any($1::uuid[])
      and o.id = any($2::bigint[])
      and not exists (select from account.erased_user x where x.user_id = o.user_id)
),
difference as materialized (
    select
        t.user_id, t.day, c.device_id, c.source, c.model,
        c.input_tokens, c.cache_read_tokens, c.cache_write_5m_tokens, c.cache_write_1h_tokens,
        c.output_tokens, c.reasoning_tokens, c.unclassified_tokens, c.request_count, c.bucket_count
    from touched t
    cross join lateral (
        select
            user_id, device_id, source, model,
            f.input_tokens, f.cache_read_tokens, f.cache_write_5m_tokens, f.cache_write_1h_tokens,
            f.output_tokens, f.reasoning_tokens, f.unclassified_tokens, f.request_count, f.bucket_count
        from (
            select
                b.user_id, b.device_id, b.source, b.model,
                sum(b.input_tokens)::bigint as input_tokens,
                sum(b.cache_read_tokens)::bigint as cache_read_tokens,
                sum(b.cache_write_5m_tokens)::bigint as cache_write_5m_tokens,
                sum(b.cache_write_1h_tokens)::bigint as cache_write_1h_tokens,
                sum(b.output_tokens)::bigint as output_tokens,
                sum(b.reasoning_tokens)::bigint as reasoning_tokens,
                sum(b.unclassified_tokens)::bigint as unclassified_tokens,
                sum(b.request_count)::bigint as request_count,
                count(*) as bucket_count
            from usage.bucket b
            where b.user_id = t.user_id
              -- The first day that is not frozen also takes buckets that the present zone would give to
              -- the day before.
              and b.hour_start >= usage.window_start(t.day, t.time_zone)
                  - case when t.day = t.frozen_before then interval '2 days' else interval '0 days' end
              and b.hour_start < usage.window_end(t.day, t.time_zone)
              and greatest((b.hour_start at time zone t.time_zone)::date, t.frozen_before) = t.day
            group by b.user_id, b.device_id, b.source, b.model
        ) f
        full join (
            select r.*
            from rollup.daily r
            where r.user_id = t.user_id and r.day = t.day
        ) r using (user_id, device_id, source, model)
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
),
written as (
    insert into rollup.daily as r (
        user_id, day, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count, bucket_count
    )
    select
        d.user_id, d.day, d.device_id, d.source, d.model,
        d.input_tokens, d.cache_read_tokens, d.cache_write_5m_tokens, d.cache_write_1h_tokens,
        d.output_tokens, d.reasoning_tokens, d.unclassified_tokens, d.request_count, d.bucket_count
    from difference d
    where d.bucket_count is not null
    on conflict (user_id, day, device_id, source, model) do update set
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
    insert into rollup.user_state as s (user_id, time_zone, version)
    select t.user_id, t.time_zone, (t.user_id in (select d.user_id from difference d))::integer
    from (select distinct user_id, time_zone from touched) t
    on conflict (user_id) do update set version = s.version + 1
    where excluded.version > 0
)
select count(*) as "user_days!" from touched
