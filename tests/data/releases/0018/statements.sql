-- Every statement of the release whose database is in data.sql, each behind the file that it stood in, without comments.
-- file: features/accounts/devices/find_device.sql
select device_id from account.device where user_id = $1 and name = $2 and revoked_at is null
-- file: features/accounts/devices/insert_device.sql
insert into account.device (user_id, device_id, name, platform)
select $1, $2, $3, $4
where (select count(*) from account.device d where d.user_id = $1 and d.revoked_at is null) < $5
-- file: features/accounts/devices/list_devices.sql
select
    d.device_id, d.name, d.platform, d.created_at, d.revoked_at,
    (
        select max(t.last_used_at)
        from account.token t
        where t.user_id = d.user_id and t.device_id = d.device_id
    ) as last_used_at
from account.device d
where d.user_id = $1 and ($2::uuid is null or d.device_id > $2)
order by d.device_id
limit $3
-- file: features/accounts/devices/lock_device.sql
select revoked_at is null as "active!"
from account.device
where user_id = $1 and device_id = $2
for no key update
-- file: features/accounts/devices/revoke_device.sql
with revoked as (
    update account.device d
    set revoked_at = coalesce(d.revoked_at, transaction_timestamp())
    where d.user_id = $1 and d.device_id = $2
    returning d.user_id, d.device_id, d.revoked_at
),
token as (
    update account.token t
    set revoked_at = transaction_timestamp()
    from revoked r
    where t.user_id = r.user_id and t.device_id = r.device_id and t.revoked_at is null
)
select r.revoked_at as "revoked_at!", r.revoked_at = transaction_timestamp() as "changed!"
from revoked r
-- file: features/accounts/erasing/erasure_hours.sql
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
-- file: features/accounts/linking/exchange_link_code.sql
select outcome as "outcome!", user_id, device_id
from account.exchange($1, $2, $3, $4, $5, $6, $7, $8)
-- file: features/accounts/linking/insert_link_code.sql
insert into account.link_code (code_hash, user_id, created_at, expires_at)
select $1, $2, $3::timestamptz, $4::timestamptz
where (
    select count(*)
    from account.link_code c
    where c.user_id = $2 and c.used_at is null and c.expires_at > $3::timestamptz
) < $5
-- file: features/accounts/linking/purge_link_codes.sql
delete from account.link_code where expires_at <= $1::timestamptz - interval '1 day'
-- file: features/accounts/profile/find_profile.sql
select name, time_zone, created_at from account.user where user_id = $1
-- file: features/accounts/profile/lock_profile.sql
select name, time_zone, created_at from account.user where user_id = $1 for no key update
-- file: features/accounts/profile/set_time_zone.sql
update account.user u
set time_zone = z.name
from account.time_zone z
where u.user_id = $1 and z.name = $2
-- file: features/accounts/tokens/expire_tokens.sql
update account.token
set expires_at = least(expires_at, transaction_timestamp() + make_interval(secs => $4))
where user_id = $1
  and (device_id = $2 or token_id = $3)
  and revoked_at is null
-- file: features/accounts/tokens/find_token.sql
select user_id, kind, device_id, revoked_at is null as "active!"
from account.token
where token_id = $1
-- file: features/accounts/tokens/insert_token.sql
insert into account.token (token_hash, token_id, kind, user_id, device_id)
values ($1, $2, $3, $4, $5)
-- file: features/accounts/tokens/list_tokens.sql
select
    t.token_id, t.kind, u.name as user_name, d.name as "device_name?",
    t.created_at, t.expires_at, t.revoked_at, t.last_used_at
from account.token t
join account.user u on u.user_id = t.user_id
left join account.device d on d.user_id = t.user_id and d.device_id = t.device_id
where ($1::uuid is null or t.user_id = $1)
  and ($2::uuid is null or t.token_id > $2)
order by t.token_id
limit $3
-- file: features/accounts/tokens/note_token_uses.sql
with used as (
    select t.token_hash, n.used_at
    from unnest($1::uuid[], $2::timestamptz[]) as n (token_id, used_at)
    join account.token t on t.token_id = n.token_id
    where t.last_used_at is null or t.last_used_at < n.used_at
    order by t.token_id
    for no key update of t
)
update account.token t
set last_used_at = u.used_at
from used u
where t.token_hash = u.token_hash
-- file: features/accounts/tokens/revoke_token.sql
update account.token
set revoked_at = transaction_timestamp()
where token_id = $1 and revoked_at is null
-- file: features/accounts/users/find_user.sql
select user_id from account.user where name = $1 and revoked_at is null
-- file: features/accounts/users/insert_user.sql
insert into account.user (user_id, name, time_zone)
select $1, $2, z.name
from account.time_zone z
where z.name = $3
-- file: features/accounts/users/list_users.sql
select
    u.user_id, u.name, u.time_zone, u.created_at, u.revoked_at,
    (select max(t.last_used_at) from account.token t where t.user_id = u.user_id) as last_used_at
from account.user u
where $1::uuid is null or u.user_id > $1
order by u.user_id
limit $2
-- file: features/accounts/users/revoke_user.sql
with revoked as (
    update account.user u
    set revoked_at = transaction_timestamp()
    where u.user_id = $1 and u.revoked_at is null
    returning u.user_id
)
update account.token t
set revoked_at = transaction_timestamp()
from revoked r
where t.user_id = r.user_id and t.revoked_at is null
-- file: features/backfill/begin_execution.sql
update backfill.job
set state = 'running', version = version + 1, executed_at = $2, done = 0, lease_token = null, lease_until = null
where job_id = $1
-- file: features/backfill/begin_rollback.sql
update backfill.job
set state = 'rolling_back',
    version = version + 1,
    reached = coalesce(reached, done),
    rollbacks = rollbacks + 1,
    done = 0,
    cursor_user_id = null,
    cursor_hour_start = null,
    cursor_device_id = null,
    cursor_source = null,
    cursor_model = null,
    failure = null,
    lease_token = null,
    lease_until = null,
    finished_at = null
where job_id = $1
-- file: features/backfill/cancel_job.sql
update backfill.job
set state = 'cancelled',
    version = version + 1,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1
-- file: features/backfill/count_moved_rows.sql
select count(*) as "count!"
from (
    select
    from backfill.plan_row p
    left join usage.bucket b
        on b.user_id = p.user_id
        and b.hour_start = p.hour_start
        and b.device_id = p.device_id
        and b.source = p.source
        and b.model = p.model
    where p.job_id = $1
      and (
          b.observed_at,
          b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
          b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count
      ) is distinct from (
          p.seen_observed_at,
          p.seen_input_tokens, p.seen_cache_read_tokens, p.seen_cache_write_5m_tokens, p.seen_cache_write_1h_tokens,
          p.seen_output_tokens, p.seen_reasoning_tokens, p.seen_unclassified_tokens, p.seen_request_count
      )
    limit $2
) moved
-- file: features/backfill/insert_exceptions.sql
insert into backfill.exception (job_id, kind, line, user_id, hour_start, device_id, source, model, code)
select $1, e.kind, e.line, e.user_id, e.hour_start, e.device_id, e.source, e.model, e.code
from unnest(
    $2::text[], $3::bigint[], $4::uuid[], $5::timestamptz[], $6::uuid[], $7::text[], $8::text[], $9::text[]
) with ordinality as e (kind, line, user_id, hour_start, device_id, source, model, code, position)
order by e.position
on conflict do nothing
-- file: features/backfill/list_exceptions.sql
select exception_id, kind, line, user_id, hour_start, device_id, source, model, code
from backfill.exception
where job_id = $1
  and ($2::text is null or kind = $2)
  and exception_id > $3
order by exception_id
limit $4
-- file: features/backfill/list_plan_rows.sql
select
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    seen_observed_at, seen_input_tokens, seen_cache_read_tokens, seen_cache_write_5m_tokens,
    seen_cache_write_1h_tokens, seen_output_tokens, seen_reasoning_tokens, seen_unclassified_tokens,
    seen_request_count
from backfill.plan_row
where job_id = $1
  and (user_id, hour_start, device_id, source, model) > ($2, $3, $4, $5, $6)
order by user_id, hour_start, device_id, source, model
limit $7
-- file: features/backfill/lock_job.sql
select job_id from backfill.job where job_id = $1 for update
-- file: features/backfill/newer_corrections.sql
select j.job_id
from backfill.job j
where j.state <> 'rolled_back'
  and j.purged_at is null
  and exists (
      select from usage.pre_image p
      where p.prior_backfill_id = $1 and p.backfill_id = j.job_id
  )
order by j.job_id desc
limit 10
-- file: features/backfill/plan/complete_plan.sql
with line as materialized (
    select
        p.user_id, p.hour_start, p.device_id, p.source, p.model,
        p.seen_observed_at is not null as stood,
        p.input_tokens + p.cache_read_tokens + p.cache_write_5m_tokens + p.cache_write_1h_tokens + p.output_tokens
            + p.unclassified_tokens as tokens_after,
        p.seen_input_tokens + p.seen_cache_read_tokens + p.seen_cache_write_5m_tokens
            + p.seen_cache_write_1h_tokens + p.seen_output_tokens + p.seen_unclassified_tokens as tokens_before,
        (
            p.input_tokens, p.cache_read_tokens, p.cache_write_5m_tokens, p.cache_write_1h_tokens,
            p.output_tokens, p.reasoning_tokens, p.unclassified_tokens, p.request_count
        ) is not distinct from (
            p.seen_input_tokens, p.seen_cache_read_tokens, p.seen_cache_write_5m_tokens,
            p.seen_cache_write_1h_tokens, p.seen_output_tokens, p.seen_reasoning_tokens,
            p.seen_unclassified_tokens, p.seen_request_count
        ) as equal,
        hash_record_extended(
            row(
                p.user_id, p.hour_start, p.device_id, p.source, p.model,
                p.input_tokens, p.cache_read_tokens, p.cache_write_5m_tokens, p.cache_write_1h_tokens,
                p.output_tokens, p.reasoning_tokens, p.unclassified_tokens, p.request_count, p.seen_observed_at
            ),
            0
        ) as hash
    from backfill.plan_row p
    where p.job_id = $1
),
summary as (
    select
        count(*) as total,
        count(*) filter (where not stood) as inserted,
        count(*) filter (where stood and tokens_after > tokens_before) as raised,
        count(*) filter (where stood and tokens_after < tokens_before) as lowered,
        count(*) filter (where stood and tokens_after = tokens_before and not equal) as changed,
        count(*) filter (where equal) as unchanged,
        coalesce(sum(tokens_before), 0) as tokens_before,
        coalesce(sum(tokens_after), 0) as tokens_after,
        encode(sha256(convert_to(format('%s %s', count(*), coalesce(sum(hash), 0)), 'UTF8')), 'hex') as plan_hash
    from line
),
touched as (
    select count(*) as rollup_rows
    from (
        select distinct r.user_id, (r.hour_start at time zone coalesce(u.time_zone, 'UTC'))::date, r.device_id, r.source, r.model
        from line r
        left join account.user u on u.user_id = r.user_id
        where not r.equal
    ) d
)
update backfill.job j
set state = 'planned',
    version = j.version + 1,
    total = s.total,
    inserted = s.inserted,
    raised = s.raised,
    lowered = s.lowered,
    changed = s.changed,
    unchanged = s.unchanged,
    rollup_rows = t.rollup_rows,
    tokens_before = s.tokens_before,
    tokens_after = s.tokens_after,
    plan_hash = s.plan_hash,
    fingerprint = coalesce($3, j.fingerprint),
    lease_token = null,
    lease_until = null
from summary s, touched t
where j.job_id = $1 and j.lease_token = $2 and j.state = 'planning'
-- file: features/backfill/plan/complete_user_plan.sql
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
-- file: features/backfill/plan/fail_plan.sql
update backfill.job
set state = 'failed',
    version = version + 1,
    failure = $3,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1 and lease_token = $2 and state = 'planning'
-- file: features/backfill/plan/find_keyed_job.sql
select job_id from backfill.job where scope_hash = $1
-- file: features/backfill/plan/hold_plan.sql
update backfill.job
set lease_until = clock_timestamp() + interval '60 seconds', poisoned = poisoned + $3
where job_id = $1 and lease_token = $2 and state = 'planning' and lease_until > clock_timestamp()
-- file: features/backfill/plan/insert_job.sql
insert into backfill.job (
    job_id, action, state, reason, first_day, last_day, user_ids, scope_hash, fingerprint, lease_token, lease_until
)
values ($1, $2, 'planning', $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + interval '60 seconds')
on conflict (scope_hash) do nothing
-- file: features/backfill/plan/stage_rows.sql
with entry as (
    select *
    from unnest(
        $2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[],
        $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
        $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[]
    ) with ordinality as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count, position
    )
),
judged as materialized (
    select
        e.*,
        case
            when not exists (
                select from account.device d where d.user_id = e.user_id and d.device_id = e.device_id
            ) then 'unknown_device'
            when exists (
                select from usage.horizon h where h.user_id = e.user_id and e.hour_start < h.first_hour
            ) then 'before_retention_horizon'
        end as wrong
    from entry e
),
staged as (
    insert into backfill.plan_row (
        job_id, user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        seen_observed_at, seen_input_tokens, seen_cache_read_tokens, seen_cache_write_5m_tokens,
        seen_cache_write_1h_tokens, seen_output_tokens, seen_reasoning_tokens, seen_unclassified_tokens,
        seen_request_count
    )
    select
        $1, j.user_id, j.hour_start, j.device_id, j.source, j.model,
        j.input_tokens, j.cache_read_tokens, j.cache_write_5m_tokens, j.cache_write_1h_tokens,
        j.output_tokens, j.reasoning_tokens, j.unclassified_tokens, j.request_count,
        b.observed_at, b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens,
        b.cache_write_1h_tokens, b.output_tokens, b.reasoning_tokens, b.unclassified_tokens,
        b.request_count
    from judged j
    left join usage.bucket b
        on b.user_id = j.user_id
        and b.hour_start = j.hour_start
        and b.device_id = j.device_id
        and b.source = j.source
        and b.model = j.model
    where j.wrong is null
    order by j.position
    on conflict (job_id, user_id, hour_start, device_id, source, model) do nothing
    returning user_id, hour_start, device_id, source, model
)
select j.position as "position!", coalesce(j.wrong, 'duplicate_bucket') as "wrong!"
from judged j
left join staged s
    on s.user_id = j.user_id
    and s.hour_start = j.hour_start
    and s.device_id = j.device_id
    and s.source = j.source
    and s.model = j.model
where s.user_id is null
order by j.position
-- file: features/backfill/plan/unknown_users.sql
select k.user_id as "user_id!"
from unnest($1::uuid[]) as k (user_id)
where not exists (select from account.user u where u.user_id = k.user_id)
-- file: features/backfill/purge/fail_abandoned.sql
update backfill.job
set state = 'failed',
    version = version + 1,
    failure = case state when 'planning' then 'abandoned' else 'expired' end,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where (state = 'planning' and lease_until < clock_timestamp())
   or (state = 'planned' and created_at < transaction_timestamp() - interval '30 days')
-- file: features/backfill/purge/mark_purged.sql
update backfill.job
set purged_at = transaction_timestamp()
where purged_at is null
  and (finished_at < transaction_timestamp() - interval '30 days' or (executed_at is null and state = 'failed'))
-- file: features/backfill/purge/purge_exceptions.sql
delete from backfill.exception
where (job_id, exception_id) in (
    select job_id, exception_id
    from backfill.exception
    where job_id = any($1::uuid[])
    limit $2
)
-- file: features/backfill/purge/purge_rows.sql
delete from backfill.plan_row
where (job_id, user_id, hour_start, device_id, source, model) in (
    select job_id, user_id, hour_start, device_id, source, model
    from backfill.plan_row
    where job_id = any($1::uuid[])
    limit $2
)
-- file: features/backfill/purge/purged_jobs.sql
select job_id
from backfill.job
where purged_at is not null
order by job_id
-- file: features/backfill/read_jobs.sql
select
    job_id, action, state, version, reason, first_day, last_day, user_ids, plan_hash,
    inserted, raised, lowered, changed, unchanged, rollup_rows,
    tokens_before::text as "tokens_before!", tokens_after::text as "tokens_after!",
    total, done, cursor_user_id, cursor_hour_start, cursor_device_id, cursor_source, cursor_model,
    poisoned, skipped, rollbacks, reached, drift, failure, fingerprint,
    coalesce(lease_until > clock_timestamp(), false) as "is_leased!",
    created_at, executed_at, finished_at, purged_at
from backfill.job
where ($1::uuid is null or job_id = $1)
  and ($2::uuid is null or job_id < $2)
order by job_id desc
limit $3
-- file: features/backfill/work/advance.sql
update backfill.job
set done = done + $2,
    cursor_user_id = $3,
    cursor_hour_start = $4,
    cursor_device_id = $5,
    cursor_source = $6,
    cursor_model = $7,
    poisoned = poisoned + $8,
    skipped = skipped + $9,
    drift = coalesce($10, drift)
where job_id = $1
-- file: features/backfill/work/count_own_events.sql
select count(*) as "unfolded!", count(parked_at) as "parked!"
from usage.outbox
where lane = 'bulk' and request_id = $1
-- file: features/backfill/work/count_waiting_events.sql
select count(*) as "count!"
from (select from usage.outbox where lane = 'bulk' and parked_at is null limit $1) waiting
-- file: features/backfill/work/fence.sql
update backfill.job
set lease_until = clock_timestamp() + interval '20 seconds'
where job_id = $1 and lease_token = $2 and state = $3 and done = $4 and lease_until > clock_timestamp()
-- file: features/backfill/work/finish_job.sql
update backfill.job
set state = $2,
    version = version + 1,
    failure = $3,
    lease_token = null,
    lease_until = null,
    finished_at = transaction_timestamp()
where job_id = $1
-- file: features/backfill/work/next_users.sql
with recursive owner as (
    (
        select b.user_id, 1::bigint as place
        from usage.bucket b
        where $2::uuid is null or b.user_id > $2
        order by b.user_id
        limit 1
    )
    union all
    select (
        select b.user_id from usage.bucket b where b.user_id > o.user_id order by b.user_id limit 1
    ), o.place + 1
    from owner o
    where o.user_id is not null and o.place < $3::bigint
)
select e.user_id as "user_id!"
from (
    (
        select u.user_id
        from account.user u
        where $1::uuid[] is null and ($2::uuid is null or u.user_id > $2)
        order by u.user_id
        limit $3
    )
    union
    select o.user_id from owner o where $1::uuid[] is null and o.user_id is not null
    union
    select n.user_id from unnest($1::uuid[]) as n (user_id) where $2::uuid is null or n.user_id > $2
) e
order by e.user_id
limit $3
-- file: features/backfill/work/release_lease.sql
update backfill.job set lease_token = null, lease_until = null where job_id = $1 and lease_token = $2
-- file: features/backfill/work/strike_kept_rows.sql
delete from backfill.exception e
using unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[])
    as k (user_id, hour_start, device_id, source, model)
where e.job_id = $1
  and e.kind = 'kept'
  and e.line is null
  and e.user_id = k.user_id
  and e.hour_start = k.hour_start
  and e.device_id = k.device_id
  and e.source = k.source
  and e.model = k.model
-- file: features/backfill/work/take_lease.sql
update backfill.job
set lease_token = $1, lease_until = clock_timestamp() + interval '20 seconds'
where job_id = (
    select job_id
    from backfill.job
    where state in ('running', 'rolling_back')
      and (lease_until is null or lease_until <= clock_timestamp())
      and ($2::uuid is null or job_id = $2)
    order by job_id
    limit 1
    for update skip locked
)
returning job_id
-- file: features/backfill/work/untouched_rows.sql
select k.position as "position!"
from unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::text[], $6::text[]) with ordinality
    as k (user_id, hour_start, device_id, source, model, position)
where exists (
    select from backfill.exception e
    where e.job_id = $1
      and e.kind in ('poisoned', 'skipped')
      and e.line is null
      and e.user_id = k.user_id
      and e.hour_start = k.hour_start
      and e.device_id = k.device_id
      and e.source = k.source
      and e.model = k.model
)
-- file: features/dashboard_rollup/buckets/bucket_page.sql
select
    b.hour_start, b.device_id, b.source, b.model,
    b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.total_tokens, b.request_count,
    b.observed_at, b.changed_at, b.stamped,
    b.backfill_id is not null as "corrected!"
from usage.bucket b
where b.user_id = $1
  and (b.hour_start, b.device_id, b.source, b.model) > (
      greatest($8::timestamptz, usage.window_start($2::date, $7::text)),
      $9::uuid, $10::text, $11::text
  )
  and b.hour_start < usage.window_end($3::date, $7::text)
  and (b.hour_start at time zone $7::text)::date between $2::date and $3::date
  and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
order by b.hour_start, b.device_id, b.source, b.model
limit $12
-- file: features/dashboard_rollup/buckets/first_instant.sql
select usage.local_day_start($1::date, $2::text) as "first_instant!"
-- file: features/dashboard_rollup/heatmap/heatmap_days.sql
select
    d.day::date as "day!",
    coalesce(u.total_tokens, 0)::text as "total_tokens!: Sum",
    coalesce(u.request_count, 0)::text as "request_count!: Sum"
from generate_series($2::date::timestamp, $3::date::timestamp, interval '1 day') d (day)
left join (
    select r.day, sum(r.total_tokens) as total_tokens, sum(r.request_count) as request_count
    from rollup.daily r
    where r.user_id = $1
      and r.day between $2::date and $3::date
      and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
    group by r.day
) u on u.day = d.day::date
order by d.day
-- file: features/dashboard_rollup/relay/erase_frozen_days.sql
with erased as materialized (
    select
        o.user_id, o.device_id, o.source, s.frozen_before,
        ((o.first_hour - interval '30 minutes') at time zone s.time_zone)::date as day_before,
        ((o.last_hour + interval '30 minutes') at time zone s.time_zone)::date as day_after
    from usage.outbox o
    join rollup.user_state s on s.user_id = o.user_id
    where o.user_id = any($1::uuid[])
      and o.id = any($2::bigint[])
      and o.topic = 'erased'
      and s.frozen_before is not null
),
gone as (
    delete from rollup.daily r
    using erased e
    where r.user_id = e.user_id
      and r.day < e.frozen_before
      and r.day > e.day_before
      and r.day < e.day_after
      and (e.device_id is null or r.device_id = e.device_id)
      and (e.source is null or r.source = e.source)
    returning r.user_id
)
update rollup.user_state s
set version = s.version + 1
where s.user_id in (select g.user_id from gone g)
-- file: features/dashboard_rollup/relay/fold_user_days.sql
with touched as materialized (
    select distinct o.user_id, z.time_zone, s.frozen_before, greatest(d.day, s.frozen_before) as day
    from usage.outbox o
    left join rollup.user_state s on s.user_id = o.user_id
    left join account.user u on u.user_id = o.user_id
    cross join lateral (select coalesce(s.time_zone, u.time_zone, 'UTC') as time_zone) z
    cross join lateral unnest(
        case when o.topic = 'bucket_changed' then array(
            select distinct (h.hour_start at time zone z.time_zone)::date
            from generate_series(o.first_hour, o.last_hour, interval '30 minutes') h (hour_start)
        )
        else array(
            select (b.hour_start at time zone z.time_zone)::date
            from usage.bucket b
            where b.user_id = o.user_id and b.hour_start between o.first_hour and o.last_hour
            union
            select r.day
            from rollup.daily r
            where r.user_id = o.user_id
              and r.day >= (o.first_hour at time zone z.time_zone)::date
              and r.day <= greatest((o.last_hour at time zone z.time_zone)::date, s.frozen_before)
              and (s.frozen_before is null or r.day >= s.frozen_before)
        )
        end
    ) d (day)
    where o.user_id = any($1::uuid[]) and o.id = any($2::bigint[])
),
difference as materialized (
    select
        t.user_id, t.day, c.device_id, c.source, c.model,
        c.input_tokens, c.cache_read_tokens, c.cache_write_5m_tokens, c.cache_write_1h_tokens,
        c.output_tokens, c.reasoning_tokens, c.unclassified_tokens, c.request_count, c.bucket_count
    from touched t
    cross join lateral (
        select
            user_id, device_id, source, model,
            f.input_tokens, f.cache_read_tokens, f.cache_write_5m_tokens, f.cache_write_1h_tokens,
            f.output_tokens, f.reasoning_tokens, f.unclassified_tokens, f.request_count, f.bucket_count
        from (
            select
                b.user_id, b.device_id, b.source, b.model,
                sum(b.input_tokens)::bigint as input_tokens,
                sum(b.cache_read_tokens)::bigint as cache_read_tokens,
                sum(b.cache_write_5m_tokens)::bigint as cache_write_5m_tokens,
                sum(b.cache_write_1h_tokens)::bigint as cache_write_1h_tokens,
                sum(b.output_tokens)::bigint as output_tokens,
                sum(b.reasoning_tokens)::bigint as reasoning_tokens,
                sum(b.unclassified_tokens)::bigint as unclassified_tokens,
                sum(b.request_count)::bigint as request_count,
                count(*) as bucket_count
            from usage.bucket b
            where b.user_id = t.user_id
              and b.hour_start >= usage.window_start(t.day, t.time_zone)
                  - case when t.day = t.frozen_before then interval '2 days' else interval '0 days' end
              and b.hour_start < usage.window_end(t.day, t.time_zone)
              and greatest((b.hour_start at time zone t.time_zone)::date, t.frozen_before) = t.day
            group by b.user_id, b.device_id, b.source, b.model
        ) f
        full join (
            select r.*
            from rollup.daily r
            where r.user_id = t.user_id and r.day = t.day
        ) r using (user_id, device_id, source, model)
        where (
            f.input_tokens, f.cache_read_tokens, f.cache_write_5m_tokens, f.cache_write_1h_tokens,
            f.output_tokens, f.reasoning_tokens, f.unclassified_tokens, f.request_count, f.bucket_count
        ) is distinct from (
            r.input_tokens, r.cache_read_tokens, r.cache_write_5m_tokens, r.cache_write_1h_tokens,
            r.output_tokens, r.reasoning_tokens, r.unclassified_tokens, r.request_count, r.bucket_count
        )
    ) c
),
gone as (
    delete from rollup.daily r
    using difference d
    where d.bucket_count is null
      and r.user_id = d.user_id
      and r.day = d.day
      and r.device_id = d.device_id
      and r.source = d.source
      and r.model = d.model
),
written as (
    insert into rollup.daily as r (
        user_id, day, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count, bucket_count
    )
    select
        d.user_id, d.day, d.device_id, d.source, d.model,
        d.input_tokens, d.cache_read_tokens, d.cache_write_5m_tokens, d.cache_write_1h_tokens,
        d.output_tokens, d.reasoning_tokens, d.unclassified_tokens, d.request_count, d.bucket_count
    from difference d
    where d.bucket_count is not null
    on conflict (user_id, day, device_id, source, model) do update set
        input_tokens = excluded.input_tokens,
        cache_read_tokens = excluded.cache_read_tokens,
        cache_write_5m_tokens = excluded.cache_write_5m_tokens,
        cache_write_1h_tokens = excluded.cache_write_1h_tokens,
        output_tokens = excluded.output_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        unclassified_tokens = excluded.unclassified_tokens,
        request_count = excluded.request_count,
        bucket_count = excluded.bucket_count
),
state as (
    insert into rollup.user_state as s (user_id, time_zone, version)
    select t.user_id, t.time_zone, (t.user_id in (select d.user_id from difference d))::integer
    from (select distinct user_id, time_zone from touched) t
    on conflict (user_id) do update set version = s.version + 1
    where excluded.version > 0
)
select count(*) as "user_days!" from touched
-- file: features/dashboard_rollup/relay/record_time_zones.sql
update rollup.user_state s
set time_zone = u.time_zone
from account.user u
where u.user_id = s.user_id
  and u.time_zone <> s.time_zone
  and s.user_id in (
      select o.user_id
      from usage.outbox o
      where o.user_id = any($1::uuid[]) and o.id = any($2::bigint[]) and o.topic = 'rebuild'
  )
-- file: features/dashboard_rollup/relay/take_fold_lock.sql
select pg_advisory_xact_lock($1)
-- file: features/dashboard_rollup/relay/try_fold_lock.sql
select pg_try_advisory_xact_lock($1) as "taken!"
-- file: features/dashboard_rollup/retention/freeze_days.sql
update rollup.user_state s
set frozen_before = $3
where s.user_id = $1
  and (s.frozen_before is null or s.frozen_before < $3)
  and not exists (
      select from usage.outbox o
      where o.user_id = $1 and (o.first_hour at time zone $2)::date < $3
  )
-- file: features/dashboard_rollup/retention/next_frozen_days.sql
select s.time_zone as "time_zone!", k.day as "day!"
from rollup.user_state s
join usage.horizon h on h.user_id = s.user_id
cross join lateral (
    select (min(b.hour_start) at time zone s.time_zone)::date as day
    from usage.bucket b
    where b.user_id = s.user_id and b.hour_start < h.first_hour
) oldest
cross join lateral (
    select least(
        (h.first_hour at time zone s.time_zone)::date,
        greatest(oldest.day, s.frozen_before) + $2::integer
    ) as day
) k
where s.user_id = $1
  and oldest.day < k.day
  and (s.frozen_before is null or s.frozen_before < k.day)
-- file: features/dashboard_rollup/retention/users_past_retention.sql
with known as materialized (
    select n.name from pg_catalog.pg_timezone_names n
)
select s.user_id as "user_id!", k.first_hour as "first_hour?"
from rollup.user_state s
cross join lateral (
    select
        case when s.time_zone in (select n.name from known n)
            then ($1::timestamptz at time zone s.time_zone)::date - $2::integer
        end as day
    offset 0
) d
cross join lateral (
    select max(h.hour_start) + interval '30 minutes' as first_hour
    from generate_series(
        date_bin('30 minutes', usage.window_start(d.day, s.time_zone), '2020-01-01T00:00:00Z'),
        usage.window_end(d.day - 1, s.time_zone),
        interval '30 minutes'
    ) h (hour_start)
    where (h.hour_start at time zone s.time_zone)::date < d.day
) k
where s.user_id > $3
  and case when d.day is null then true else exists (
      select from usage.bucket b
      where b.user_id = s.user_id
        and b.hour_start < k.first_hour
        and (b.hour_start at time zone s.time_zone)::date < d.day
  ) end
order by s.user_id
limit $4
-- file: features/dashboard_rollup/rollups/bucket_results.sql
select
    g.at as "at!",
    g.source as "source!",
    g.model as "model!",
    g.device_id as "device_id!",
    g.input_tokens as "input_tokens!: Sum",
    g.cache_read_tokens as "cache_read_tokens!: Sum",
    g.cache_write_5m_tokens as "cache_write_5m_tokens!: Sum",
    g.cache_write_1h_tokens as "cache_write_1h_tokens!: Sum",
    g.output_tokens as "output_tokens!: Sum",
    g.reasoning_tokens as "reasoning_tokens!: Sum",
    g.unclassified_tokens as "unclassified_tokens!: Sum",
    g.total_tokens as "total_tokens!: Sum",
    g.request_count as "request_count!: Sum",
    g.bucket_count as "bucket_count!: Sum"
from (
    select
        case
            when $10::text = 'half_hour' then b.hour_start at time zone 'UTC'
            else date_trunc($10::text, b.hour_start at time zone $16::text)
        end as at,
        case when $7::boolean then b.source else '' end as source,
        case when $8::boolean then b.model else '' end as model,
        case when $9::boolean then b.device_id else '00000000-0000-0000-0000-000000000000' end as device_id,
        sum(b.input_tokens)::text as input_tokens,
        sum(b.cache_read_tokens)::text as cache_read_tokens,
        sum(b.cache_write_5m_tokens)::text as cache_write_5m_tokens,
        sum(b.cache_write_1h_tokens)::text as cache_write_1h_tokens,
        sum(b.output_tokens)::text as output_tokens,
        sum(b.reasoning_tokens)::text as reasoning_tokens,
        sum(b.unclassified_tokens)::text as unclassified_tokens,
        sum(b.total_tokens)::text as total_tokens,
        sum(b.request_count)::text as request_count,
        count(*)::text as bucket_count
    from usage.bucket b
    where b.user_id = $1
      and b.hour_start >= usage.window_start($2::date, $16::text)
      and b.hour_start < usage.window_end($3::date, $16::text)
      and (b.hour_start at time zone $16::text)::date between $2::date and $3::date
      and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
    group by 1, 2, 3, 4
) g
where $11::timestamp is null
   or (g.at, g.source, g.model, g.device_id) > ($11::timestamp, $12::text, $13::text, $14::uuid)
order by g.at, g.source, g.model, g.device_id
limit $15
-- file: features/dashboard_rollup/rollups/bucket_totals.sql
select
    coalesce(sum(b.input_tokens), 0)::text as "input_tokens!: Sum",
    coalesce(sum(b.cache_read_tokens), 0)::text as "cache_read_tokens!: Sum",
    coalesce(sum(b.cache_write_5m_tokens), 0)::text as "cache_write_5m_tokens!: Sum",
    coalesce(sum(b.cache_write_1h_tokens), 0)::text as "cache_write_1h_tokens!: Sum",
    coalesce(sum(b.output_tokens), 0)::text as "output_tokens!: Sum",
    coalesce(sum(b.reasoning_tokens), 0)::text as "reasoning_tokens!: Sum",
    coalesce(sum(b.unclassified_tokens), 0)::text as "unclassified_tokens!: Sum",
    coalesce(sum(b.total_tokens), 0)::text as "total_tokens!: Sum",
    coalesce(sum(b.request_count), 0)::text as "request_count!: Sum",
    count(*)::text as "bucket_count!: Sum"
from usage.bucket b
where b.user_id = $1
  and b.hour_start >= usage.window_start($2::date, $7::text)
  and b.hour_start < usage.window_end($3::date, $7::text)
  and (b.hour_start at time zone $7::text)::date between $2::date and $3::date
  and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
-- file: features/dashboard_rollup/rollups/daily_results.sql
select
    g.at as "at!",
    g.source as "source!",
    g.model as "model!",
    g.device_id as "device_id!",
    g.input_tokens as "input_tokens!: Sum",
    g.cache_read_tokens as "cache_read_tokens!: Sum",
    g.cache_write_5m_tokens as "cache_write_5m_tokens!: Sum",
    g.cache_write_1h_tokens as "cache_write_1h_tokens!: Sum",
    g.output_tokens as "output_tokens!: Sum",
    g.reasoning_tokens as "reasoning_tokens!: Sum",
    g.unclassified_tokens as "unclassified_tokens!: Sum",
    g.total_tokens as "total_tokens!: Sum",
    g.request_count as "request_count!: Sum",
    g.bucket_count as "bucket_count!: Sum"
from (
    select
        date_trunc($10::text, r.day::timestamp) as at,
        case when $7::boolean then r.source else '' end as source,
        case when $8::boolean then r.model else '' end as model,
        case when $9::boolean then r.device_id else '00000000-0000-0000-0000-000000000000' end as device_id,
        sum(r.input_tokens)::text as input_tokens,
        sum(r.cache_read_tokens)::text as cache_read_tokens,
        sum(r.cache_write_5m_tokens)::text as cache_write_5m_tokens,
        sum(r.cache_write_1h_tokens)::text as cache_write_1h_tokens,
        sum(r.output_tokens)::text as output_tokens,
        sum(r.reasoning_tokens)::text as reasoning_tokens,
        sum(r.unclassified_tokens)::text as unclassified_tokens,
        sum(r.total_tokens)::text as total_tokens,
        sum(r.request_count)::text as request_count,
        sum(r.bucket_count)::text as bucket_count
    from rollup.daily r
    where r.user_id = $1
      and r.day between greatest($2::date, $11::timestamp::date) and $3::date
      and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
    group by 1, 2, 3, 4
) g
where $11::timestamp is null
   or (g.at, g.source, g.model, g.device_id) > ($11::timestamp, $12::text, $13::text, $14::uuid)
order by g.at, g.source, g.model, g.device_id
limit $15
-- file: features/dashboard_rollup/rollups/daily_totals.sql
select
    coalesce(sum(r.input_tokens), 0)::text as "input_tokens!: Sum",
    coalesce(sum(r.cache_read_tokens), 0)::text as "cache_read_tokens!: Sum",
    coalesce(sum(r.cache_write_5m_tokens), 0)::text as "cache_write_5m_tokens!: Sum",
    coalesce(sum(r.cache_write_1h_tokens), 0)::text as "cache_write_1h_tokens!: Sum",
    coalesce(sum(r.output_tokens), 0)::text as "output_tokens!: Sum",
    coalesce(sum(r.reasoning_tokens), 0)::text as "reasoning_tokens!: Sum",
    coalesce(sum(r.unclassified_tokens), 0)::text as "unclassified_tokens!: Sum",
    coalesce(sum(r.total_tokens), 0)::text as "total_tokens!: Sum",
    coalesce(sum(r.request_count), 0)::text as "request_count!: Sum",
    coalesce(sum(r.bucket_count), 0)::text as "bucket_count!: Sum"
from rollup.daily r
where r.user_id = $1
  and r.day between $2 and $3
  and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
-- file: features/dashboard_rollup/rollups/half_hours.sql
select
    h.hour_start as "hour_start!",
    h.hour_start at time zone $3::text as "local_start!"
from generate_series(
    date_bin('30 minutes', usage.window_start($1::date, $3::text), '2020-01-01T00:00:00Z'),
    usage.window_end($2::date, $3::text),
    interval '30 minutes'
) h (hour_start)
where (h.hour_start at time zone $3::text)::date between $1::date and $2::date
order by h.hour_start
-- file: features/dashboard_rollup/rollups/intervals.sql
with interval_days as materialized (
    select
        u.at,
        greatest(u.at::date, $1::date) as first_day,
        least((u.at + ('1 ' || $3::text)::interval)::date, $2::date + 1) as after_day
    from generate_series(
        date_trunc($3::text, $1::date::timestamp), $2::date::timestamp, ('1 ' || $3::text)::interval
    ) u (at)
),
midnight as materialized (
    select d.day, usage.local_day_start(d.day, $4::text) as begins_at
    from (select i.first_day from interval_days i union select i.after_day from interval_days i) d (day)
)
select i.at as "at!", opening.begins_at as "starts_at!", closing.begins_at as "ends_at!"
from interval_days i
join midnight opening on opening.day = i.first_day
join midnight closing on closing.day = i.after_day
where opening.begins_at < closing.begins_at
order by i.at
-- file: features/dashboard_rollup/state/kept_from.sql
select
    case
        when h.first_hour < date_bin('30 minutes', f.begins_at + interval '1799.999999 seconds', '2020-01-01T00:00:00Z')
            then f.ends_at
        else coalesce(h.first_hour, f.begins_at)
    end as "kept_from!"
from rollup.user_state s
left join usage.horizon h on h.user_id = s.user_id
cross join lateral (
    select
        usage.local_day_start(s.frozen_before, s.time_zone) as begins_at,
        usage.local_day_start(s.frozen_before + 1, s.time_zone) as ends_at
) f
where s.user_id = $1
  and s.frozen_before is not null
-- file: features/dashboard_rollup/state/rollup_state.sql
select
    transaction_timestamp() as "read_at!",
    (select o.created_at from usage.outbox o where o.user_id = u.user_id order by o.id limit 1) as oldest_event_at,
    (select max(o.id) from usage.outbox o where o.user_id = u.user_id) as newest_event_id,
    z.recorded as "recorded_zone!",
    z.recorded <> u.time_zone as "zone_change_waits!",
    a.time_zone as asked_zone,
    ($2::timestamptz at time zone coalesce(a.time_zone, z.recorded))::date as "today!",
    coalesce(s.version, 0) as "version!",
    s.frozen_before
from account.user u
left join rollup.user_state s on s.user_id = u.user_id
cross join lateral (select coalesce(s.time_zone, u.time_zone) as recorded) z
cross join lateral (
    select (
        select n.name from account.time_zone n where n.name = $3::text and $3::text <> z.recorded
    ) as time_zone
    offset 0
) a
where u.user_id = $1
-- file: features/dashboard_rollup/summary/range_sums.sql
select
    (r.day >= $2::date) as "is_current!",
    case when grouping(r.source) = 0 then r.source end as source,
    case when grouping(r.model) = 0 then r.model end as model,
    sum(r.input_tokens)::text as "input_tokens!: Sum",
    sum(r.cache_read_tokens)::text as "cache_read_tokens!: Sum",
    sum(r.cache_write_5m_tokens)::text as "cache_write_5m_tokens!: Sum",
    sum(r.cache_write_1h_tokens)::text as "cache_write_1h_tokens!: Sum",
    sum(r.output_tokens)::text as "output_tokens!: Sum",
    sum(r.reasoning_tokens)::text as "reasoning_tokens!: Sum",
    sum(r.unclassified_tokens)::text as "unclassified_tokens!: Sum",
    sum(r.total_tokens)::text as "total_tokens!: Sum",
    sum(r.request_count)::text as "request_count!: Sum",
    sum(r.bucket_count)::text as "bucket_count!: Sum"
from rollup.daily r
where r.user_id = $1
  and r.day between $4::date and $3::date
  and (cardinality($5::text[]) = 0 or r.source = any($5::text[]))
  and (cardinality($6::text[]) = 0 or r.model = any($6::text[]))
  and (cardinality($7::uuid[]) = 0 or r.device_id = any($7::uuid[]))
group by grouping sets (
    ((r.day >= $2::date)), ((r.day >= $2::date), r.source), ((r.day >= $2::date), r.model)
)
order by grouping(r.model) desc, 2, 3, 1 desc
limit $8
-- file: features/dashboard_rollup/summary/streaks.sql
with active as (
    select r.day
    from rollup.daily r
    where r.user_id = $1
      and r.is_active
      and (cardinality($5::text[]) = 0 or r.source = any($5::text[]))
      and (cardinality($6::text[]) = 0 or r.model = any($6::text[]))
      and (cardinality($7::uuid[]) = 0 or r.device_id = any($7::uuid[]))
    group by r.day
),
streak as (
    select count(*) as days, max(n.day) as last_day
    from (select a.day, a.day - row_number() over (order by a.day)::integer as run from active a) n
    group by n.run
)
select
    (select count(*) from active a where a.day between $2::date and $3::date) as "active_days!",
    (select count(*) from active a where a.day between $4::date and $2::date - 1) as "active_days_before!",
    coalesce((select max(s.days) from streak s where s.last_day >= $8::date - 1), 0) as "current_streak!",
    coalesce((select max(s.days) from streak s), 0) as "longest_streak!"
-- file: features/dashboard_rollup/verify/compare_user_days.sql
with state as materialized (
    select
        z.time_zone, s.frozen_before,
        greatest(coalesce($2::date, '-infinity'), coalesce(s.frozen_before, '-infinity')) as first_day,
        coalesce($3::date, 'infinity') as last_day
    from (select $1::uuid as user_id) i
    left join rollup.user_state s on s.user_id = i.user_id
    left join account.user u on u.user_id = i.user_id
    cross join lateral (select coalesce(s.time_zone, u.time_zone, 'UTC') as time_zone) z
),
expected as materialized (
    select
        greatest((b.hour_start at time zone z.time_zone)::date, z.frozen_before) as day,
        b.device_id, b.source, b.model,
        sum(b.input_tokens)::bigint as input_tokens,
        sum(b.cache_read_tokens)::bigint as cache_read_tokens,
        sum(b.cache_write_5m_tokens)::bigint as cache_write_5m_tokens,
        sum(b.cache_write_1h_tokens)::bigint as cache_write_1h_tokens,
        sum(b.output_tokens)::bigint as output_tokens,
        sum(b.reasoning_tokens)::bigint as reasoning_tokens,
        sum(b.unclassified_tokens)::bigint as unclassified_tokens,
        sum(b.total_tokens)::bigint as total_tokens,
        sum(b.request_count)::bigint as request_count,
        count(*) as bucket_count
    from state z
    join usage.bucket b on b.user_id = $1
    where b.hour_start >= usage.window_start(z.first_day, z.time_zone)
            - case when z.first_day = z.frozen_before then interval '2 days' else interval '0 days' end
      and b.hour_start < usage.window_end(z.last_day, z.time_zone)
      and greatest((b.hour_start at time zone z.time_zone)::date, z.frozen_before) between z.first_day and z.last_day
    group by 1, 2, 3, 4
),
compared as (
    select
        day,
        count(*) filter (where r.bucket_count is null) as missing_rows,
        count(*) filter (where e.bucket_count is null) as extra_rows,
        count(*) filter (where (
            e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
            e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count, e.bucket_count
        ) <> (
            r.input_tokens, r.cache_read_tokens, r.cache_write_5m_tokens, r.cache_write_1h_tokens,
            r.output_tokens, r.reasoning_tokens, r.unclassified_tokens, r.request_count, r.bucket_count
        )) as different_rows,
        coalesce(sum(e.total_tokens), 0)::bigint as expected_tokens,
        coalesce(sum(r.total_tokens), 0)::bigint as actual_tokens
    from expected e
    full join (
        select r.*
        from state z
        join rollup.daily r on r.user_id = $1 and r.day between z.first_day and z.last_day
    ) r using (day, device_id, source, model)
    group by day
),
judged as materialized (
    select
        c.*,
        exists (
            select from usage.outbox o
            where o.user_id = $1
              and greatest((o.first_hour at time zone z.time_zone)::date, z.frozen_before) <= c.day
              and greatest((o.last_hour at time zone z.time_zone)::date, z.frozen_before) >= c.day
        ) as is_pending
    from compared c
    cross join state z
)
select
    counted.compared as "compared!",
    counted.pending as "pending!",
    j.day as "day?",
    coalesce(j.missing_rows, 0) as "missing_rows!",
    coalesce(j.extra_rows, 0) as "extra_rows!",
    coalesce(j.different_rows, 0) as "different_rows!",
    coalesce(j.expected_tokens, 0) as "expected_tokens!",
    coalesce(j.actual_tokens, 0) as "actual_tokens!"
from (select count(*) as compared, count(*) filter (where is_pending) as pending from judged) counted
left join judged j on not j.is_pending and j.missing_rows + j.extra_rows + j.different_rows > 0
order by j.day
-- file: features/dashboard_rollup/verify/find_orphans.sql
select null::uuid as device_id
where not exists (select from account.user u where u.user_id = $1)
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
-- file: features/dashboard_rollup/verify/users_with_usage.sql
with recursive found as (
    select n.user_id
    from (
        select least(
            (select b.user_id from usage.bucket b where b.user_id > $1 order by b.user_id limit 1),
            (select r.user_id from rollup.daily r where r.user_id > $1 order by r.user_id limit 1)
        ) as user_id
    ) n
    where n.user_id is not null
    union all
    select n.user_id
    from found f
    cross join lateral (
        select least(
            (select b.user_id from usage.bucket b where b.user_id > f.user_id order by b.user_id limit 1),
            (select r.user_id from rollup.daily r where r.user_id > f.user_id order by r.user_id limit 1)
        ) as user_id
    ) n
    where n.user_id is not null
)
select user_id as "user_id!"
from found
limit $2
-- file: features/operations/list_switches.sql
select name, is_on, reason, changed_at from ops.switch
-- file: features/operations/parked_events.sql
select o.user_id, o.id, o.topic, o.utc_day, o.attempts, o.parked_at as "parked_at!", o.last_error
from usage.outbox o
where o.parked_at is not null
order by o.parked_at, o.id
limit $1::bigint
-- file: features/operations/ping.sql
select 1 as "one!"
-- file: features/operations/set_switch.sql
insert into ops.switch (name, is_on, reason, changed_at)
values ($1::text, $2::boolean, $3::text, $4::timestamptz)
on conflict (name) do update set is_on = excluded.is_on, reason = excluded.reason, changed_at = excluded.changed_at
-- file: kernel/access/authenticate.sql
select token_id as "token_id!", kind as "kind!", user_id as "user_id!", device_id
from account.authenticate($1)
-- file: kernel/database/database_time.sql
select clock_timestamp() as "now!"
-- file: kernel/database/non_durable_settings.sql
select name as "name!"
from pg_catalog.pg_settings
where name in ('fsync', 'full_page_writes') and setting <> 'on'
order by name
-- file: kernel/database/unsafe_roles.sql
select rolname::text as "rolname!"
from pg_catalog.pg_roles
where rolname in ('halfhour_api', 'halfhour_worker', 'halfhour_auth', 'halfhour_none')
  and (rolsuper or rolbypassrls)
order by rolname
-- file: kernel/operations/record_act.sql
insert into ops.audit (audit_id, actor_kind, actor_user_id, actor_token_id, action, subject, reason, request_id, details)
values ($1::uuid, $2::text, $3::uuid, $4::uuid, $5::text, $6::text, $7::text, $8::uuid, $9::jsonb)
-- file: kernel/usage/erasure/count_erasable.sql
select count(*) as "buckets!", min(b.hour_start) as first_hour, max(b.hour_start) as last_hour
from usage.bucket b
where b.user_id = $1
  and ($2::uuid is null or b.device_id = $2)
  and ($3::text is null or b.source = $3)
  and b.hour_start >= coalesce($4::timestamptz, '-infinity')
  and b.hour_start <= coalesce($5::timestamptz, 'infinity')
-- file: kernel/usage/erasure/erase_buckets.sql
with erased as (
    delete from usage.bucket b
    where b.user_id = $1
      and ($2::uuid is null or b.device_id = $2)
      and ($3::text is null or b.source = $3)
      and b.hour_start >= coalesce($4::timestamptz, '-infinity')
      and b.hour_start <= coalesce($5::timestamptz, 'infinity')
    returning b.device_id, b.hour_start, b.observed_at
)
select
    e.device_id as "device_id!",
    count(*) as "buckets!",
    min(e.hour_start) as "first_hour!",
    max(e.hour_start) as "last_hour!",
    max(e.observed_at) as "newest!"
from erased e
group by e.device_id
order by e.device_id
-- file: kernel/usage/erasure/erase_pre_images.sql
delete from usage.pre_image p
where p.user_id = $1
  and ($2::uuid is null or p.device_id = $2)
  and ($3::text is null or p.source = $3)
  and p.hour_start >= coalesce($4::timestamptz, '-infinity')
  and p.hour_start <= coalesce($5::timestamptz, 'infinity')
-- file: kernel/usage/erasure/hold_off_erasures.sql
select u.user_id as "user_id!"
from unnest($1::uuid[]) as u (user_id)
where not pg_try_advisory_xact_lock_shared($2::integer, uuid_hash(u.user_id))
-- file: kernel/usage/erasure/lock_out_writers.sql
select pg_advisory_xact_lock($2::integer, uuid_hash($1::uuid))
-- file: kernel/usage/erasure/record_erasures.sql
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
-- file: kernel/usage/horizon/expire_buckets.sql
delete from usage.bucket b
where b.user_id = $1
  and b.hour_start < (select h.first_hour from usage.horizon h where h.user_id = $1)
  and (b.hour_start at time zone $2)::date < $3
-- file: kernel/usage/horizon/lock_horizons.sql
lock table usage.horizon in access exclusive mode
-- file: kernel/usage/horizon/raise_horizons.sql
insert into usage.horizon as h (user_id, first_hour)
select u.user_id, u.first_hour
from unnest($1::uuid[], $2::timestamptz[]) u (user_id, first_hour)
order by u.user_id
on conflict (user_id) do update set first_hour = excluded.first_hour
where excluded.first_hour > h.first_hour
-- file: kernel/usage/idempotency/lock_keys.sql
select pg_try_advisory_xact_lock(('x' || encode(substring(k.scope_hash for 8), 'hex'))::bit(64)::bigint) as "locked!"
from unnest($1::bytea[]) with ordinality as k (scope_hash, position)
order by k.position
-- file: kernel/usage/idempotency/purge_keys.sql
delete from usage.idempotency
where (user_id, scope_hash) in (
    select user_id, scope_hash
    from usage.idempotency
    where created_at <= transaction_timestamp() - interval '24 hours'
    limit $1
)
-- file: kernel/usage/idempotency/record_key.sql
with forgotten as (
    delete from usage.idempotency f
    where f.user_id = $1
      and f.scope_hash <> $2
      and f.scope_hash in (
          select o.scope_hash
          from usage.idempotency o
          where o.user_id = $1 and o.device_id = $3
          order by o.created_at desc
          offset 999
      )
)
insert into usage.idempotency (user_id, scope_hash, device_id, fingerprint, request_id, verdicts, rejections)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (user_id, scope_hash) do update set
    device_id = excluded.device_id,
    fingerprint = excluded.fingerprint,
    request_id = excluded.request_id,
    verdicts = excluded.verdicts,
    rejections = excluded.rejections,
    created_at = excluded.created_at
-- file: kernel/usage/idempotency/recorded_keys.sql
select
    i.position as "position!",
    r.fingerprint as "fingerprint!",
    r.request_id as "request_id!",
    r.verdicts as "verdicts!",
    r.rejections as "rejections?"
from generate_series(1, cardinality($1::uuid[])) as i (position)
join usage.idempotency r
    on r.user_id = ($1::uuid[])[i.position]
    and r.scope_hash = ($2::bytea[])[i.position]
where r.created_at > transaction_timestamp() - interval '24 hours'
-- file: kernel/usage/notify_relays.sql
select pg_notify($1, $2)
-- file: kernel/usage/outbox/claim_events.sql
(
    select user_id as "user_id!", id as "id!", topic as "topic!", created_at as "created_at!", attempts as "attempts!",
        lane as "lane!"
    from usage.outbox
    where lane = 'live' and id >= $5 and retry_at is null and parked_at is null
    order by id
    limit $2
)
union all
(
    select user_id, id, topic, created_at, attempts, lane
    from usage.outbox
    where lane = 'bulk' and id >= $6 and retry_at is null and parked_at is null
    order by id
    limit $3
)
union all
(
    select user_id, id, topic, created_at, attempts, lane
    from usage.outbox
    where lane = 'whole' and id >= $7 and retry_at is null and parked_at is null
    order by id
    limit $4
)
union all
(
    select r.user_id, r.id, r.topic, r.created_at, r.attempts, r.lane
    from (
        select o.*, row_number() over (partition by o.lane order by o.retry_at) as place
        from (
            select user_id, id, topic, created_at, attempts, lane, retry_at
            from usage.outbox
            where retry_at <= $1
              and parked_at is null
              and case lane when 'bulk' then $3::bigint when 'whole' then $4::bigint else $2::bigint end > 0
            order by retry_at
            limit $2
        ) o
    ) r
    where r.place <= case r.lane when 'bulk' then $3::bigint when 'whole' then $4::bigint else $2::bigint end
)
-- file: kernel/usage/outbox/claim_parked_events.sql
select p.user_id as "user_id!", p.id as "id!", p.topic as "topic!", p.created_at as "created_at!",
    p.attempts as "attempts!", p.lane as "lane!"
from usage.outbox p
where p.parked_at is not null
  and p.user_id = any($1::uuid[])
  and array_position($3::text[], p.lane) is not null
  and exists (
      select from usage.outbox o
      where o.user_id = p.user_id
        and o.id = any($2::bigint[])
        and o.first_hour - interval '1 day' < p.last_hour
        and o.last_hour + interval '1 day' > p.first_hour
  )
order by p.user_id, p.id
limit 1000
-- file: kernel/usage/outbox/consume_events.sql
delete from usage.outbox
where user_id = any($1::uuid[]) and id = any($2::bigint[])
-- file: kernel/usage/outbox/fail_event.sql
update usage.outbox
set attempts = attempts + 1,
    retry_at = $5,
    last_error = left($3, 500),
    parked_at = case when attempts + 1 >= $6 then $4::timestamptz end
where user_id = $1 and id = $2
-- file: kernel/usage/outbox/measure_backlog.sql
select
    l.lane as "lane!",
    (select count(*) from usage.outbox o where o.lane = l.lane and o.parked_at is null) as "waiting!",
    (
        select o.created_at from usage.outbox o where o.lane = l.lane and o.parked_at is null order by o.id limit 1
    ) as oldest_at,
    (select count(*) from usage.outbox o where o.lane = l.lane and o.parked_at is not null) as "parked!"
from (values ('live'), ('bulk'), ('whole')) l (lane)
-- file: kernel/usage/outbox/publish_erased.sql
insert into usage.outbox (
    user_id, topic, utc_day, first_hour, last_hour, lane, device_id, source, request_id, traceparent
)
values (
    $1, 'erased', (coalesce($4::timestamptz, transaction_timestamp()) at time zone 'UTC')::date,
    coalesce($4::timestamptz, '-infinity'), coalesce($5::timestamptz, 'infinity'), 'whole', $2, $3, $6, $7
)
-- file: kernel/usage/outbox/publish_rebuild.sql
insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
values (
    $1, 'rebuild', (transaction_timestamp() at time zone 'UTC')::date, '-infinity', 'infinity', 'whole', $2, $3
)
-- file: kernel/usage/outbox/publish_replay.sql
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
-- file: kernel/usage/writer/lock_buckets.sql
select
    k.position as "position!",
    b.input_tokens as "input_tokens!", b.cache_read_tokens as "cache_read_tokens!",
    b.cache_write_5m_tokens as "cache_write_5m_tokens!", b.cache_write_1h_tokens as "cache_write_1h_tokens!",
    b.output_tokens as "output_tokens!", b.reasoning_tokens as "reasoning_tokens!",
    b.unclassified_tokens as "unclassified_tokens!", b.request_count as "request_count!",
    b.observed_at as "observed_at!", b.backfill_id
from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[]) with ordinality
    as k (user_id, hour_start, device_id, source, model, position)
cross join lateral (
    select
        b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
        b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count,
        b.observed_at, b.backfill_id
    from usage.bucket b
    where b.user_id = k.user_id
      and b.hour_start = k.hour_start
      and b.device_id = k.device_id
      and b.source = k.source
      and b.model = k.model
      and not exists (
          select from usage.horizon h
          where h.user_id = k.user_id and k.hour_start < h.first_hour
      )
    for update of b
) b
-- file: kernel/usage/writer/merge_pre_images.sql
with entry as (
    select *
    from unnest(
        $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::timestamptz[], $15::boolean[], $16::uuid[]
    ) with ordinality as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, backfill_id, position
    )
),
merged as (
    insert into usage.pre_image as p (
        user_id, hour_start, device_id, source, model, backfill_id,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped
    )
    select
        e.user_id, e.hour_start, e.device_id, e.source, e.model, e.backfill_id,
        e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
        e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count,
        e.observed_at, e.stamped
    from entry e
    order by e.position
    on conflict (user_id, hour_start, device_id, source, model, backfill_id) do update set
        input_tokens = excluded.input_tokens,
        cache_read_tokens = excluded.cache_read_tokens,
        cache_write_5m_tokens = excluded.cache_write_5m_tokens,
        cache_write_1h_tokens = excluded.cache_write_1h_tokens,
        output_tokens = excluded.output_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        unclassified_tokens = excluded.unclassified_tokens,
        request_count = excluded.request_count,
        observed_at = excluded.observed_at,
        stamped = excluded.stamped,
        prior_backfill_id = null
    where (
        excluded.observed_at,
        excluded.input_tokens, excluded.cache_read_tokens, excluded.cache_write_5m_tokens,
        excluded.cache_write_1h_tokens, excluded.output_tokens, excluded.reasoning_tokens,
        excluded.unclassified_tokens, excluded.request_count
    ) > (
        p.observed_at,
        p.input_tokens, p.cache_read_tokens, p.cache_write_5m_tokens, p.cache_write_1h_tokens,
        p.output_tokens, p.reasoning_tokens, p.unclassified_tokens, p.request_count
    )
    and (p.prior_backfill_id is null or excluded.stamped)
    returning p.user_id, p.hour_start, p.device_id, p.source, p.model, p.backfill_id
)
select e.position as "position!", p.prior_backfill_id as "prior_backfill_id!"
from entry e
join usage.pre_image p
    on p.user_id = e.user_id
    and p.hour_start = e.hour_start
    and p.device_id = e.device_id
    and p.source = e.source
    and p.model = e.model
    and p.backfill_id = e.backfill_id
where p.prior_backfill_id is not null
  and not exists (
      select from merged m
      where m.user_id = e.user_id
        and m.hour_start = e.hour_start
        and m.device_id = e.device_id
        and m.source = e.source
        and m.model = e.model
        and m.backfill_id = e.backfill_id
  )
-- file: kernel/usage/writer/purge_pre_images.sql
delete from usage.pre_image
where (user_id, hour_start, device_id, source, model, backfill_id) in (
    select user_id, hour_start, device_id, source, model, backfill_id
    from usage.pre_image
    where backfill_id = any($1::uuid[])
    limit $2
)
-- file: kernel/usage/writer/restore_buckets.sql
with key as (
    select *
    from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[])
        as k (user_id, hour_start, device_id, source, model)
),
restored as (
    update usage.bucket b
    set input_tokens = p.input_tokens,
        cache_read_tokens = p.cache_read_tokens,
        cache_write_5m_tokens = p.cache_write_5m_tokens,
        cache_write_1h_tokens = p.cache_write_1h_tokens,
        output_tokens = p.output_tokens,
        reasoning_tokens = p.reasoning_tokens,
        unclassified_tokens = p.unclassified_tokens,
        request_count = p.request_count,
        observed_at = p.observed_at,
        stamped = p.stamped,
        backfill_id = p.prior_backfill_id,
        changed_at = case
            when (
                b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
                b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count
            ) = (
                p.input_tokens, p.cache_read_tokens, p.cache_write_5m_tokens, p.cache_write_1h_tokens,
                p.output_tokens, p.reasoning_tokens, p.unclassified_tokens, p.request_count
            ) then b.changed_at
            else $7::timestamptz
        end
    from key k
    join usage.pre_image p
        on p.user_id = k.user_id
        and p.hour_start = k.hour_start
        and p.device_id = k.device_id
        and p.source = k.source
        and p.model = k.model
        and p.backfill_id = $6
    where b.user_id = k.user_id
      and b.hour_start = k.hour_start
      and b.device_id = k.device_id
      and b.source = k.source
      and b.model = k.model
    returning b.user_id, b.hour_start, b.changed_at = $7::timestamptz as changed
),
removed as (
    delete from usage.bucket b
    using key k
    where b.user_id = k.user_id
      and b.hour_start = k.hour_start
      and b.device_id = k.device_id
      and b.source = k.source
      and b.model = k.model
      and not exists (
          select from usage.pre_image p
          where p.user_id = k.user_id
            and p.hour_start = k.hour_start
            and p.device_id = k.device_id
            and p.source = k.source
            and p.model = k.model
            and p.backfill_id = $6
      )
    returning b.user_id, b.hour_start, true as changed
)
insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
select
    r.user_id, 'bucket_changed', (r.hour_start at time zone 'UTC')::date,
    min(r.hour_start), max(r.hour_start), 'bulk', $6, $8
from (select * from restored union all select * from removed) r
where r.changed
group by r.user_id, (r.hour_start at time zone 'UTC')::date
-- file: kernel/usage/writer/save_pre_images.sql
insert into usage.pre_image (
    user_id, hour_start, device_id, source, model, backfill_id,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, prior_backfill_id
)
select
    b.user_id, b.hour_start, b.device_id, b.source, b.model, $6::uuid,
    b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count,
    b.observed_at, b.stamped, b.backfill_id
from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[])
    as k (user_id, hour_start, device_id, source, model)
join usage.bucket b
    on b.user_id = k.user_id
    and b.hour_start = k.hour_start
    and b.device_id = k.device_id
    and b.source = k.source
    and b.model = k.model
on conflict (user_id, hour_start, device_id, source, model, backfill_id) do nothing
-- file: kernel/usage/writer/standing_buckets.sql
select
    i.position as "position!",
    coalesce(b.input_tokens, 0) as "input_tokens!",
    coalesce(b.cache_read_tokens, 0) as "cache_read_tokens!",
    coalesce(b.cache_write_5m_tokens, 0) as "cache_write_5m_tokens!",
    coalesce(b.cache_write_1h_tokens, 0) as "cache_write_1h_tokens!",
    coalesce(b.output_tokens, 0) as "output_tokens!",
    coalesce(b.reasoning_tokens, 0) as "reasoning_tokens!",
    coalesce(b.unclassified_tokens, 0) as "unclassified_tokens!",
    coalesce(b.request_count, 0) as "request_count!",
    b.user_id is not null as "stands!",
    b.backfill_id,
    (
        select max(x.erased_at)
        from usage.erasure x
        where x.user_id = ($1::uuid[])[i.position]
          and ($2::timestamptz[])[i.position] between x.first_hour and x.last_hour
          and (x.device_id is null or x.device_id = ($3::uuid[])[i.position])
          and (x.source is null or x.source = ($4::text[])[i.position])
    ) as erased_at
from generate_series(1, cardinality($1::uuid[])) as i (position)
left join usage.bucket b
    on b.user_id = ($1::uuid[])[i.position]
    and b.hour_start = ($2::timestamptz[])[i.position]
    and b.device_id = ($3::uuid[])[i.position]
    and b.source = ($4::text[])[i.position]
    and b.model = ($5::text[])[i.position]
-- file: kernel/usage/writer/upsert_buckets.sql
with entry as (
    select *
    from unnest(
        $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
        $14::timestamptz[], $15::boolean[]
    ) as e (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped
    )
),
judged as materialized (
    select
        e.*,
        exists (
            select from usage.erasure x
            where x.user_id = e.user_id
              and e.observed_at <= x.erased_at
              and e.hour_start between x.first_hour and x.last_hour
              and (x.device_id is null or x.device_id = e.device_id)
              and (x.source is null or x.source = e.source)
        ) as erased,
        case when exists (
            select from usage.horizon h
            where h.user_id = e.user_id and e.hour_start < h.first_hour
        ) then 'before_retention_horizon'
        when $21::uuid is null then (
            select case
                when (
                    s.observed_at,
                    s.input_tokens, s.cache_read_tokens, s.cache_write_5m_tokens, s.cache_write_1h_tokens,
                    s.output_tokens, s.reasoning_tokens, s.unclassified_tokens, s.request_count
                ) < (
                    e.observed_at,
                    e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
                    e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count
                ) then null
                when (
                    s.input_tokens, s.cache_read_tokens, s.cache_write_5m_tokens, s.cache_write_1h_tokens,
                    s.output_tokens, s.reasoning_tokens, s.unclassified_tokens, s.request_count
                ) = (
                    e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
                    e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count
                ) then 'unchanged'
                else 'stale'
            end
            from usage.bucket s
            where s.user_id = e.user_id
              and s.hour_start = e.hour_start
              and s.device_id = e.device_id
              and s.source = e.source
              and s.model = e.model
              and s.backfill_id is null
        )
        end as lost
    from entry e
),
written as (
    insert into usage.bucket as b (
        user_id, hour_start, device_id, source, model,
        input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
        output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, stamped, backfill_id, changed_at
    )
    select
        e.user_id, e.hour_start, e.device_id, e.source, e.model,
        e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
        e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count,
        e.observed_at, e.stamped, $21::uuid, $16::timestamptz
    from judged e
    where not e.erased and e.lost is null
    order by e.user_id, e.hour_start, e.device_id, e.source collate "C", e.model collate "C"
    on conflict (user_id, hour_start, device_id, source, model) do update set
        input_tokens = excluded.input_tokens,
        cache_read_tokens = excluded.cache_read_tokens,
        cache_write_5m_tokens = excluded.cache_write_5m_tokens,
        cache_write_1h_tokens = excluded.cache_write_1h_tokens,
        output_tokens = excluded.output_tokens,
        reasoning_tokens = excluded.reasoning_tokens,
        unclassified_tokens = excluded.unclassified_tokens,
        request_count = excluded.request_count,
        observed_at = excluded.observed_at,
        stamped = excluded.stamped,
        backfill_id = excluded.backfill_id,
        changed_at = case
            when (
                b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
                b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count
            ) = (
                excluded.input_tokens, excluded.cache_read_tokens, excluded.cache_write_5m_tokens,
                excluded.cache_write_1h_tokens, excluded.output_tokens, excluded.reasoning_tokens,
                excluded.unclassified_tokens, excluded.request_count
            ) then b.changed_at
            else excluded.changed_at
        end
    where (
        excluded.observed_at,
        excluded.input_tokens, excluded.cache_read_tokens, excluded.cache_write_5m_tokens,
        excluded.cache_write_1h_tokens, excluded.output_tokens, excluded.reasoning_tokens,
        excluded.unclassified_tokens, excluded.request_count
    ) > (
        b.observed_at,
        b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
        b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count
    )
    and (b.backfill_id is null or excluded.stamped)
    and not $22::boolean
    returning
        b.user_id, b.hour_start, b.device_id, b.source, b.model,
        b.xmax = 0 as inserted,
        b.changed_at = $16::timestamptz as changed
),
event as (
    insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, traceparent)
    select
        d.user_id, 'bucket_changed', d.utc_day, d.first_hour, d.last_hour, $17::text,
        ($19::uuid[])[d.cause], ($20::text[])[d.cause]
    from (
        select
            w.user_id, (w.hour_start at time zone 'UTC')::date as utc_day,
            min(w.hour_start) as first_hour, max(w.hour_start) as last_hour,
            array_position($18::uuid[], w.user_id) as cause
        from written w
        where w.changed
        group by w.user_id, (w.hour_start at time zone 'UTC')::date
    ) d
)
select
    user_id as "user_id!", hour_start as "hour_start!", device_id as "device_id!", source as "source!", model as "model!",
    case when inserted then 'inserted' when changed then 'updated' else 'unchanged' end as "verdict!",
    true as "written!"
from written
union all
select user_id, hour_start, device_id, source, model, lost, false
from judged
where not erased and lost is not null
