-- Counts the events of a job that are not folded yet, and those of them that are parked.
-- $1 request_id: the job.
-- Index: outbox_lane_part_id_idx.
select count(*) as "unfolded!", count(parked_at) as "parked!"
from usage.outbox
where lane in ('bulk', 'whole') and request_id = $1
