-- Writes every snapshot that wins against the stored bucket, and publishes events for the half
-- hours whose counts changed. Both happen in one statement, so that neither is ever stored without
-- the other. The row comparison is made again under the row's lock. A greater version with the same
-- counts is stored too, because versions would not converge without it, but it publishes no event.
--  Versions are compared as usage::snapshot says: by rank, by the instant or the total that decides
-- within the rank, by counts, and by the stamp. A new version's rank is right as it is given, but for
-- 3, which settles and is compared as 2. The rank of a stored one may be an older release's, and is
-- asked of usage.rank_of.
--  A correction replaces a version that its caller has locked and looked at, whatever that one's rank.
--  `judged` finds the snapshots that have lost already, before `written` can conflict with the
-- stored row. A conflict locks that row even where the snapshot loses, and a lock writes to the log
-- and waits for the disk; a post that only repeats stored snapshots stays a transaction that only
-- reads.
-- The early verdict is safe, because the version of a stored bucket only rises. There is one
-- exception: a rollback lowers the version of a bucket that holds a correction. Such buckets, and
-- corrections themselves ($22), are therefore compared under the lock only.
--  Each row is looked up in usage.erasure and usage.horizon only where one of the users has a row there
-- (`restricted`), which the statement finds out by itself, in its own snapshot. Nearly nobody has one.
--  Reading usage.horizon takes ACCESS SHARE on it, so lock_horizons.sql (ACCESS EXCLUSIVE) waits
-- until this transaction ends.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, distinct and sorted
-- in this order.
-- $6 … $13: the counts, in column order.
-- $14 observed_ats, $15 stamped, $16 ranks: the versions.
-- $17 changed_at: now, an instant that no other statement of this process was given; $18 lane: of
-- the events.
-- $19 cause_users, $20 request_ids, $21 traceparents: one request for each user, which the user's
-- events name as their cause.
-- $22 backfill_id: the job whose corrections these are, null for trackers' snapshots.
-- $23 only_inserts: true where no stored bucket may change, for corrections of absent buckets.
-- Returns a verdict for each key, but for those that were erased or lost only under the lock. Where there
-- are none of these, a row without a key stands for all that were inserted: most batches are new throughout.
-- Index: bucket_pkey, erasure_pkey, horizon_pkey.
with entry as (
    select *
    from unnest(
        $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::timestamptz[], $15::boolean[], $16::smallint[]
    ) as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank
    )
),
restricted as materialized (
    select
        exists (select from usage.erasure x where x.user_id = any($19::uuid[]))
            or exists (select from usage.horizon h where h.user_id = any($19::uuid[])) as somebody
),
judged as materialized (
    select
        e.*,
        (select r.somebody from restricted r) and exists (
            select from usage.erasure x
            where x.user_id = e.user_id
              and e.observed_at <= x.erased_at
              and e.hour_start between x.first_hour and x.last_hour
              and (x.device_id is null or x.device_id = e.device_id)
              and (x.source is null or x.source = e.source)
        ) as erased,
        case when (select r.somebody from restricted r) and exists (
            select from usage.horizon h
            where h.user_id = e.user_id and e.hour_start < h.first_hour
        ) then 'before_retention_horizon'
        when $22::uuid is null then (
            select case
                when (
                    usage.rank_of(s.rank, s.hour_start, s.observed_at, false),
                    usage.version_instant(usage.rank_of(s.rank, s.hour_start, s.observed_at, false), s.observed_at),
                    usage.version_total(
                        usage.rank_of(s.rank, s.hour_start, s.observed_at, false),
                        s.input_tokens + s.cache_read_tokens + s.cache_write_5m_tokens
                            + s.cache_write_1h_tokens + s.output_tokens + s.unclassified_tokens
                    ),
                    s.input_tokens, s.cache_read_tokens, s.cache_write_5m_tokens,
                    s.cache_write_1h_tokens, s.output_tokens, s.reasoning_tokens,
                    s.unclassified_tokens, s.request_count,
                    s.observed_at
                ) < (
                    least(e.rank, 2::smallint),
                    usage.version_instant(e.rank, e.observed_at),
                    usage.version_total(
                        e.rank,
                        e.input_tokens + e.cache_read_tokens + e.cache_write_5m_tokens
                            + e.cache_write_1h_tokens + e.output_tokens + e.unclassified_tokens
                    ),
                    e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens,
                    e.cache_write_1h_tokens, e.output_tokens, e.reasoning_tokens,
                    e.unclassified_tokens, e.request_count,
                    e.observed_at
                ) then null
                when (
                    s.input_tokens, s.cache_read_tokens, s.cache_write_5m_tokens, s.cache_write_1h_tokens,
                    s.output_tokens, s.reasoning_tokens, s.unclassified_tokens, s.request_count
                ) = (
                    e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
                    e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count
                ) then 'unchanged'
                when s.observed_at < e.observed_at then 'kept'
                else 'stale'
            end
            from usage.bucket s
            where s.user_id = e.user_id
              and s.hour_start = e.hour_start
              and s.device_id = e.device_id
              and s.source = e.source
              and s.model = e.model
              and s.backfill_id is null
        )
        end as lost
    from entry e
),
written as (
    insert into usage.bucket as b (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, rank, backfill_id, changed_at
    )
    select
        e.user_id, e.hour_start, e.device_id, e.source, e.model,
        e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
        e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count,
        e.observed_at, e.stamped, e.rank, $22::uuid, $17::timestamptz
    from judged e
    where not e.erased and e.lost is null
    order by e.user_id, e.hour_start, e.device_id, e.source collate "C", e.model collate "C"
    on conflict (user_id, hour_start, device_id, source, model) do update set
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
        backfill_id = excluded.backfill_id,
        changed_at = case
            when (
                b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
                b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count
            ) = (
                excluded.input_tokens, excluded.cache_read_tokens, excluded.cache_write_5m_tokens,
                excluded.cache_write_1h_tokens, excluded.output_tokens, excluded.reasoning_tokens,
                excluded.unclassified_tokens, excluded.request_count
            ) then b.changed_at
            else excluded.changed_at
        end
    where ((
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
        usage.rank_of(b.rank, b.hour_start, b.observed_at, b.backfill_id is not null),
        usage.version_instant(usage.rank_of(b.rank, b.hour_start, b.observed_at, b.backfill_id is not null), b.observed_at),
        usage.version_total(
            usage.rank_of(b.rank, b.hour_start, b.observed_at, b.backfill_id is not null),
            b.input_tokens + b.cache_read_tokens + b.cache_write_5m_tokens + b.cache_write_1h_tokens
                + b.output_tokens + b.unclassified_tokens
        ),
        b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
        b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count,
        b.observed_at
    )
    or $22::uuid is not null)
    -- An arrival time does not outweigh an operator's correction.
    and (b.backfill_id is null or excluded.stamped)
    and not $23::boolean
    returning
        b.user_id, b.hour_start, b.device_id, b.source, b.model,
        b.xmax = 0 as inserted,
        b.changed_at = $17::timestamptz as changed
),
event as (
    insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
    select
        d.user_id, 'bucket_changed', d.utc_day, d.first_hour, d.last_hour, $18::text,
        ($20::uuid[])[d.cause], ($21::text[])[d.cause]
    from (
        select
            w.user_id, (w.hour_start at time zone 'UTC')::date as utc_day,
            min(w.hour_start) as first_hour, max(w.hour_start) as last_hour,
            -- Not a join, because the planner expects one row and would compare each with every cause.
            array_position($19::uuid[], w.user_id) as cause
        from written w
        where w.changed
        group by w.user_id, (w.hour_start at time zone 'UTC')::date
    ) d
),
-- Whether every key was written or has lost to what stands.
whole as materialized (
    select (select count(*) from written) + count(*) filter (where not j.erased and j.lost is not null) = count(*) as is_so
    from judged j
)
select
    w.user_id as "user_id?", w.hour_start as "hour_start?", w.device_id as "device_id?", w.source as "source?",
    w.model as "model?",
    case when w.inserted then 'inserted' when w.changed then 'updated' else 'unchanged' end as "verdict!",
    true as "written!"
from written w
where not w.inserted or not (select a.is_so from whole a)
union all
select j.user_id, j.hour_start, j.device_id, j.source, j.model, j.lost, false
from judged j
where not j.erased and j.lost is not null
union all
select null, null, null, null, null, 'inserted', true
from whole a
where a.is_so
