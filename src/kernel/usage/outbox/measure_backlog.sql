-- Counts the events that wait in each lane, and finds since when. The event with the lowest id
-- stands for the oldest.
-- No parameters. Index: outbox_lane_id_idx, outbox_parked_idx.
select
    l.lane as "lane!",
    (select count(*) from usage.outbox o where o.lane = l.lane and o.parked_at is null) as "waiting!",
    (
        select o.created_at from usage.outbox o where o.lane = l.lane and o.parked_at is null order by o.id limit 1
    ) as oldest_at,
    (select count(*) from usage.outbox o where o.lane = l.lane and o.parked_at is not null) as "parked!"
from (values ('live'), ('bulk'), ('whole')) l (lane)
