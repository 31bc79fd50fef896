-- Publishes events that days are to be folded again, one for each user and week, so that no event
-- is large.
-- $1 user_ids: distinct; $2 first_hour, $3 last_hour: inclusive; $4 lane; $5 request_id,
-- $6 traceparent: the request that caused it.
-- Returns the number of events. Index: none.
with published as (
    insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
    select
        u.user_id, 'replay', (w.first_hour at time zone 'UTC')::date, w.first_hour,
        least(w.first_hour + interval '7 days' - interval '30 minutes', $3::timestamptz), $4, $5, $6
    from unnest($1::uuid[]) u (user_id)
    cross join generate_series($2::timestamptz, $3::timestamptz, interval '7 days') w (first_hour)
    returning 1
)
select count(*) as "count!" from published
