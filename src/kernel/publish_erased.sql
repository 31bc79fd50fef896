-- Announces that an owner removed buckets.
-- $1 user_id; $2 device_id, $3 source: null for all; $4 first_hour, $5 last_hour: inclusive, null for no bound;
-- $6 request_id, $7 traceparent: the cause.
-- Index: none.
insert into usage.outbox (
    user_id, topic, utc_day, first_hour, last_hour, lane, device_id, source, request_id, traceparent
)
select
    $1, 'erased', (h.first_hour at time zone 'UTC')::date, h.first_hour, coalesce($5::timestamptz, 'infinity'), 'whole',
    $2, $3, $6, $7
from (select coalesce($4::timestamptz, '-infinity') as first_hour) h
