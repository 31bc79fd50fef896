-- Finds the half hours of a range of local days in the user's wanted zone: the first whose local
-- date is $2 or later, and the last whose local date is $3 or earlier. It tries the half hours
-- within 15 hours of UTC's midnight, because no zone is further from UTC than 14 hours.
-- $1 user_id; $2 from and $3 to: local dates, inclusive; null leaves that end open.
-- Index: user_pkey.
select
    (
        select min(h.hour_start)
        from generate_series(
            $2::date::timestamp at time zone 'UTC' - interval '15 hours',
            $2::date::timestamp at time zone 'UTC' + interval '15 hours',
            interval '30 minutes'
        ) as h (hour_start)
        where (h.hour_start at time zone u.time_zone)::date >= $2::date
    ) as first_hour,
    (
        select max(h.hour_start)
        from generate_series(
            $3::date::timestamp at time zone 'UTC' + interval '9 hours',
            $3::date::timestamp at time zone 'UTC' + interval '39 hours',
            interval '30 minutes'
        ) as h (hour_start)
        where (h.hour_start at time zone u.time_zone)::date <= $3::date
    ) as last_hour
from account.user u
where u.user_id = $1
