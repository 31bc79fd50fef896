-- Removes some rows of the rollup of a user who was erased, frozen days included.
-- $1 user_id; $2 limit.
-- Needs the fold lock. Index: daily_pkey.
delete from rollup.daily
where user_id = $1
  and (user_id, day, device_id, source, model) in (
      select user_id, day, device_id, source, model
      from rollup.daily
      where user_id = $1
      order by user_id, day, device_id, source, model
      limit $2
  )
