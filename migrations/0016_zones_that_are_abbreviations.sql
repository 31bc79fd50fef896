-- Why: PostgreSQL lists CET, EET, MET and WET as time zones with summer time, but where it calculates with one of these
-- names it takes the abbreviation, which has none: every day from spring to autumn would be an hour off.
-- Meaning of stored rows: unchanged. Who is in one of these zones stays there until another one is chosen
-- (docs/operations.md, Upgrading). Way back: drop the view.
set local lock_timeout = '5s';

create view account.time_zone with (security_barrier) as
select n.name
from pg_catalog.pg_timezone_names n
where n.name not in ('CET', 'EET', 'MET', 'WET');
comment on view account.time_zone is 'The time zones that a user can be in: those that PostgreSQL calculates with under their own name.';
comment on column account.time_zone.name is 'The IANA name.';

grant select on account.time_zone to halfhour_api, halfhour_worker;
