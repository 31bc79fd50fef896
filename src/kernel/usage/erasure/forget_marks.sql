-- Removes what is left of a user who was erased: the horizon, how often devices reported less, and
-- what kind of devices there were. Writing usage.horizon waits for a raise that is under way.
-- $1 user_id.
-- Returns how many rows there were. Index: horizon_pkey, kept_pkey, device_kind_pkey.
with horizon as (
    delete from usage.horizon h where h.user_id = $1 returning 1
),
kept as (
    delete from usage.kept k where k.user_id = $1 returning 1
),
kinds as (
    delete from usage.device_kind d where d.user_id = $1 returning 1
)
select (select count(*) from horizon) + (select count(*) from kept) + (select count(*) from kinds) as "marks!"
