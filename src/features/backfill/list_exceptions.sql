-- Reads a page of the rows of a job that did not go as planned.
-- $1 job_id; $2 kind, null for all; $3 after: the last exception of the page before; $4 limit.
-- Index: exception_pkey.
select exception_id, kind, line, user_id, hour_start, device_id, source, model, code, field, detail
from backfill.exception
where job_id = $1
  and ($2::text is null or kind = $2)
  and exception_id > $3
order by exception_id
limit $4
