-- Adds rows of a job that did not go as planned. A bucket is listed once for each kind.
-- $1 job_id; $2 kinds, $3 lines, $4 user_ids, $5 hour_starts, $6 device_ids, $7 sources, $8 models,
-- $9 codes, $10 fields, $11 details: position by position.
-- Index: exception_is_listed_once.
insert into backfill.exception (job_id, kind, line, user_id, hour_start, device_id, source, model, code, field, detail)
select $1, e.kind, e.line, e.user_id, e.hour_start, e.device_id, e.source, e.model, e.code, e.field, e.detail
from unnest(
    $2::text[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::uuid[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[]
) with ordinality as e (kind, line, user_id, hour_start, device_id, source, model, code, field, detail, position)
order by e.position
on conflict do nothing
