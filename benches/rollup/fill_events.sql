-- Fills one event for every day of every user with an account, as trackers' posts would have left
-- them.
-- $1 days: how many, up to yesterday.
insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
select
    u.user_id, 'bucket_changed', d.day::date, d.day, d.day + interval '23 hours 30 minutes', 'live', gen_random_uuid()
from account.user u
cross join lateral (
    select date_trunc('day', now()) - n * interval '1 day' as day
    from generate_series(1, $1::integer) as g (n)
) d
