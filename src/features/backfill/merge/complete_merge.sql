-- Adds up how the buckets of a merge's devices stand to each other. complete_plan.sql has run in
-- this transaction.
-- $1 job_id, $2 user_id, $3 from_device_id, $4 into_device_id; $5 first_hour, $6 last_hour.
-- Index: job_pkey, plan_row_pkey, bucket_pkey.
with pair as (
    select
        count(*) filter (where p.pairing = 'only_in_from') as only_in_from,
        count(*) filter (where p.pairing = 'equal') as in_both_equal,
        count(*) filter (where p.pairing = 'different') as in_both_different
    from backfill.plan_row p
    where p.job_id = $1 and not p.removes
),
alone as (
    select count(*) as only_in_into
    from usage.bucket b
    where b.user_id = $2
      and b.device_id = $4
      and b.hour_start >= $5
      and b.hour_start <= $6
      and not exists (
          select from usage.bucket a
          where a.user_id = b.user_id
            and a.hour_start = b.hour_start
            and a.device_id = $3
            and a.source = b.source
            and a.model = b.model
          -- One look by the whole key for each row. As a join the planner may look for the device alone, all of it each time.
          offset 0
      )
)
update backfill.job j
set only_in_from = p.only_in_from,
    only_in_into = a.only_in_into,
    in_both_equal = p.in_both_equal,
    in_both_different = p.in_both_different
from pair p, alone a
where j.job_id = $1
