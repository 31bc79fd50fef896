-- Publishes for users the event that its rollup is to be folded again as a whole, in the zone
-- and the book that are wanted then. An erased user has none.
-- $1 user_ids: only these, null for all; $2 request_id, $3 traceparent: the request that caused it.
-- Returns the number of events. Index: user_pkey, as a whole where all are meant.
with published as (
    insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
    select
        u.user_id, 'rebuild', (transaction_timestamp() at time zone 'UTC')::date, '-infinity', 'infinity', 'whole', $2, $3
    from account.user u
    where $1::uuid[] is null or u.user_id = any($1::uuid[])
    returning 1
)
select count(*) as "count!" from published
