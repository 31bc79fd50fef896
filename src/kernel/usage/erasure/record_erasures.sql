-- Records erasures that share one scope but for the device, and deletes the older erasures that
-- they cover.
-- $1 user_id; $2 erasure_ids, $3 device_ids, $4 erased_ats: position by position, a null device for
-- all devices; $5 source, $6 first_hour, $7 last_hour: the rest of the scope, null where it is
-- open.
-- Returns how many erasures the user has afterwards.
-- Index: erasure_pkey.
with erasure as (
    select
        e.erasure_id, e.device_id, e.erased_at,
        coalesce($6::timestamptz, '-infinity') as first_hour,
        coalesce($7::timestamptz, 'infinity') as last_hour
    from unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) as e (erasure_id, device_id, erased_at)
),
forgotten as (
    delete from usage.erasure x
    where x.user_id = $1
      and exists (
          select from erasure e
          where e.erased_at >= x.erased_at
            and (e.device_id is null or e.device_id = x.device_id)
            and ($5::text is null or x.source = $5)
            and e.first_hour <= x.first_hour
            and e.last_hour >= x.last_hour
      )
    returning x.erasure_id
),
recorded as (
    insert into usage.erasure (user_id, erasure_id, erased_at, device_id, source, first_hour, last_hour)
    select $1, e.erasure_id, e.erased_at, e.device_id, $5, e.first_hour, e.last_hour
    from erasure e
    returning erasure_id
)
select (select count(*) from usage.erasure x where x.user_id = $1)
    - (select count(*) from forgotten)
    + (select count(*) from recorded) as "erasures!"
