-- Finds the parts in which events are due, and takes the locks of those that are to be folded now,
-- until the transaction ends. It takes as many parts as fill a round and no more, so that other
-- relays find work, too. Those whose events have waited longest come first. A part that stands
-- alone is taken when its turn comes, and nothing with it.
-- A part of another relay counts only where its oldest event has waited for more than a second,
-- and then as if it had waited five seconds less. A round takes its relay's own parts or others, so
-- that relays that help each other do not lock each other out.
-- The locks are taken in a statement before the claim, so that the claim sees everything that their
-- last holders committed. What is found here may be gone by then.
-- Whoever holds a part's lock holds the fold lock besides, in shared mode. A process that takes it
-- alone finds no fold under way, and none begins: one of a release that had no parts, or one that
-- changes how everything is folded.
-- $1 fold_lock: the key of that lock; those of the parts follow it.
-- $2 parts, $3 lanes: where to look, position by position, with $4 is_home: whether the part is this
-- relay's; $5 is_alone; $6 scan_from: the lowest id to look at; $7 at_most: the most events, above 0.
-- $8 now: for events that are tried again; $9 live, $10 bulk, $11 whole: the most events of each lane
-- in one round.
-- Returns the parts in which events are due, in the order of their turns. Locks are tried in that
-- order, so that those before the first that was taken are folded elsewhere.
-- Each lane stops looking, and locking, where its round is full.
-- Index: outbox_lane_part_id_idx, outbox_lane_part_retry_idx.
with due as materialized (
    select c.part, c.lane, c.is_home, c.is_alone, c.scan_from, c.at_most, w.failed, w.waited
    from unnest($2::smallint[], $3::text[], $4::boolean[], $5::boolean[], $6::bigint[], $7::bigint[])
        as c (part, lane, is_home, is_alone, scan_from, at_most)
    cross join lateral (
        (
            select false as failed, transaction_timestamp() - o.created_at as waited
            from usage.outbox o
            where o.lane = c.lane and o.part = c.part and o.id >= c.scan_from and o.retry_at is null and o.parked_at is null
            order by o.id
            limit 1
        )
        union all
        (
            select true as failed, $8::timestamptz - o.retry_at as waited
            from usage.outbox o
            where o.lane = c.lane and o.part = c.part and o.retry_at <= $8::timestamptz and o.parked_at is null
            order by o.retry_at
            limit 1
        )
    ) w
),
part as materialized (
    select d.part, d.is_home, d.is_alone, row_number() over (
        order by max(d.waited) - case when d.is_home then interval '0' else interval '5 seconds' end desc, d.part
    ) as turn
    from due d
    group by d.part, d.is_home, d.is_alone
    having d.is_home or max(d.waited) > interval '1 second'
),
gate as materialized (
    select pg_try_advisory_xact_lock_shared($1::bigint) as is_open
    where exists (select from part)
),
foremost as materialized (
    select f.part, f.is_home, f.is_alone
    from (
        select p.part, p.is_home, p.is_alone, pg_try_advisory_xact_lock($1::bigint + 1 + p.part) as is_taken
        from (select p.part, p.is_home, p.is_alone from part p order by p.turn) p
        where (select g.is_open from gate g)
    ) f
    where f.is_taken
    limit 1
),
-- What may be folded together with the foremost part.
beside as materialized (
    select d.part, d.lane, d.failed, d.scan_from, d.at_most, p.turn
    from foremost f
    join part p on p.is_home = f.is_home and not p.is_alone
    join due d on d.part = p.part
    where not f.is_alone
),
taken as materialized (
    select f.part from foremost f
    union all
    select l.part
    from (values ('live', $9::bigint), ('bulk', $10::bigint), ('whole', $11::bigint)) r (lane, at_most)
    cross join lateral (
        select t.part
        from (
            select p.part, p.scan_from, p.at_most, pg_try_advisory_xact_lock($1::bigint + 1 + p.part) as is_taken
            from (
                select b.part, b.scan_from, b.at_most from beside b where b.lane = r.lane and not b.failed order by b.turn
            ) p
        ) t
        cross join lateral (
            select
            from usage.outbox o
            where o.lane = r.lane and o.part = t.part and o.id >= t.scan_from and o.retry_at is null and o.parked_at is null
            order by o.id
            limit t.at_most
        ) o
        where t.is_taken
        limit r.at_most
    ) l
    union all
    select t.part
    from (
        select p.part, pg_try_advisory_xact_lock($1::bigint + 1 + p.part) as is_taken
        from (select distinct b.part from beside b where b.failed) p
    ) t
    where t.is_taken
)
select p.part as "part!", p.part in (select t.part from taken t) as "is_taken!"
from part p
order by p.turn
