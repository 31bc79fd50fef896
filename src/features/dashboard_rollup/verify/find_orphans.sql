-- Finds the owner of buckets or rollup rows who does not exist. Returns a null where the user
-- itself is unknown, else each unknown device. A user whose erasure is still being carried out is no
-- orphan.
-- $1 user_id.
-- The user's rows are read once, because no index finds the devices of a user without reading them.
-- Index: user_pkey, erased_user_pkey, device_pkey, bucket_pkey, daily_pkey.
select null::uuid as device_id
where not exists (select from account.user u where u.user_id = $1)
  and not exists (select from account.erased_user x where x.user_id = $1 and x.finished_at is null)
  and (
      exists (select from usage.bucket b where b.user_id = $1)
      or exists (select from rollup.daily r where r.user_id = $1)
  )
union all
select d.device_id
from (
    select b.device_id from usage.bucket b where b.user_id = $1
    union
    select r.device_id from rollup.daily r where r.user_id = $1
) d
where exists (select from account.user u where u.user_id = $1)
  and not exists (select from account.device a where a.user_id = $1 and a.device_id = d.device_id)
order by 1
