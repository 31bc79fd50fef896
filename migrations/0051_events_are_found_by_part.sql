-- Why: the indexes of 0050 find whatever these find, and each index makes every post dearer.
-- Meaning of stored rows: unchanged. A process of the release before goes on: it reads the events of a lane by the longer
-- index and sorts them, which is slower the more wait.
-- Way back: create index outbox_lane_id_idx on usage.outbox (lane, id); create index outbox_retry_idx on usage.outbox
-- (retry_at) where retry_at is not null and parked_at is null.
set local lock_timeout = '5s';

drop index usage.outbox_lane_id_idx;
drop index usage.outbox_retry_idx;
