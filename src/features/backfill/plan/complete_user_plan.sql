-- Completes the plan of a replay, a verification or a reprice: counts its users, those that exist and those
-- that have buckets without existing.
-- $1 job_id, $2 lease_token.
-- Index: job_pkey, user_pkey, bucket_pkey.
with recursive owner as (
    (select b.user_id from usage.bucket b order by b.user_id limit 1)
    union all
    select (
        select b.user_id from usage.bucket b where b.user_id > o.user_id order by b.user_id limit 1
    )
    from owner o
    where o.user_id is not null
)
update backfill.job j
set state = 'planned',
    version = j.version + 1,
    plan_hash = encode(
        sha256(convert_to(format('%s %s %s %s', j.action, j.first_day, j.last_day, j.user_ids), 'UTF8')), 'hex'
    ),
    total = coalesce(
        cardinality(j.user_ids),
        (
            select count(*)
            from (
                select u.user_id from account.user u
                union
                select o.user_id from owner o where o.user_id is not null
            ) everyone
        )
    ),
    lease_token = null,
    lease_until = null
where j.job_id = $1 and j.lease_token = $2 and j.state = 'planning'
