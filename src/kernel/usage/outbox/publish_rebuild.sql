-- Publishes the event that a user wants another time zone.
-- $1 user_id; $2 request_id, $3 traceparent: the request that caused it.
-- Index: none.
insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
values (
    $1, 'rebuild', (transaction_timestamp() at time zone 'UTC')::date, '-infinity', 'infinity', 'whole', $2, $3
)
