-- Adds rows of a job that did not go as planned. A bucket is listed once for each kind. That of a user
-- who was erased is listed without its key.
-- $1 job_id; $2 kinds, $3 lines, $4 user_ids, $5 hour_starts, $6 device_ids, $7 sources, $8 models,
-- $9 codes, $10 fields, $11 details: position by position.
-- Index: exception_is_listed_once, erased_user_pkey.
insert into backfill.exception (job_id, kind, line, user_id, hour_start, device_id, source, model, code, field, detail)
select
    $1, e.kind, e.line,
    case when not x.erased then e.user_id end,
    case when not x.erased then e.hour_start end,
    case when not x.erased then e.device_id end,
    case when not x.erased then e.source end,
    case when not x.erased then e.model end,
    e.code, e.field, e.detail
from unnest(
    $2::text[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::uuid[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::text[]
) with ordinality as e (kind, line, user_id, hour_start, device_id, source, model, code, field, detail, position)
cross join lateral (
    select exists (select from account.erased_user u where u.user_id = e.user_id) as erased
) x
order by e.position
on conflict do nothing
