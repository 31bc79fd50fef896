-- Counts the events that wait in each lane, and finds since when. In each part the event with the
-- lowest id stands for the oldest.
-- No parameters. Index: outbox_lane_part_id_idx, outbox_parked_idx.
select
    l.lane as "lane!",
    (select count(*) from usage.outbox o where o.lane = l.lane and o.parked_at is null) as "waiting!",
    (
        select min(e.created_at)
        from generate_series(0, 63) p (part)
        cross join lateral (
            select o.created_at
            from usage.outbox o
            where o.lane = l.lane and o.part = p.part and o.parked_at is null
            order by o.id
            limit 1
        ) e
    ) as oldest_at,
    (select count(*) from usage.outbox o where o.lane = l.lane and o.parked_at is not null) as "parked!"
from (values ('live'), ('bulk'), ('whole')) l (lane)
