-- Publishes the event that an owner removed buckets.
-- $1 user_id; $2 device_id, $3 source: null for all; $4 first_hour, $5 last_hour: inclusive, null
-- for no bound; $6 request_id, $7 traceparent: the request that caused it.
-- Index: none.
insert into usage.outbox (
    user_id, topic, utc_day, first_hour, last_hour, lane, device_id, source, request_id, traceparent
)
values (
    $1, 'erased', (coalesce($4::timestamptz, transaction_timestamp()) at time zone 'UTC')::date,
    coalesce($4::timestamptz, '-infinity'), coalesce($5::timestamptz, 'infinity'), 'whole', $2, $3, $6, $7
)
