-- Counts the events of backfills and of rebuilds that wait to be folded, up to a limit.
-- $1 limit.
-- Index: outbox_lane_part_id_idx.
select count(*) as "count!"
from (select from usage.outbox where lane in ('bulk', 'whole') and parked_at is null limit $1) waiting
