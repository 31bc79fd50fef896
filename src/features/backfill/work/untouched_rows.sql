-- Finds those of the given rows that the execution has not written, because they had changed since
-- the plan or the database refused them.
-- $1 job_id; $2 user_ids, $3 hour_starts, $4 device_ids, $5 sources, $6 models: the keys, position
-- by position.
-- Index: exception_is_listed_once.
select k.position as "position!"
from unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[]) with ordinality
    as k (user_id, hour_start, device_id, source, model, position)
where exists (
    select from backfill.exception e
    where e.job_id = $1
      and e.kind in ('poisoned', 'skipped')
      and e.line is null
      and e.user_id = k.user_id
      and e.hour_start = k.hour_start
      and e.device_id = k.device_id
      and e.source = k.source
      and e.model = k.model
)
