-- Takes rows off the list of those that a rollback has kept, because a later rollback has restored
-- them.
-- $1 job_id; $2 user_ids, $3 hour_starts, $4 device_ids, $5 sources, $6 models: the keys, position
-- by position.
-- Index: exception_is_listed_once.
delete from backfill.exception e
using unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[])
    as k (user_id, hour_start, device_id, source, model)
where e.job_id = $1
  and e.kind = 'kept'
  and e.line is null
  and e.user_id = k.user_id
  and e.hour_start = k.hour_start
  and e.device_id = k.device_id
  and e.source = k.source
  and e.model = k.model
