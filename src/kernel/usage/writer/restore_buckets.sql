-- Takes corrections of one job back. A bucket with a pre-image gets that version again, including
-- observed_at and its rank; a bucket without one was inserted by the job and is deleted. The caller
-- has locked the buckets and checked that each still holds this job's correction. The same statement
-- publishes events for the half hours whose counts changed.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys; $6 backfill_id: the
-- job.
-- $7 changed_at: now, an instant that no other statement of this process was given; $8 traceparent:
-- of the events.
-- Index: bucket_pkey, pre_image_pkey.
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
        rank = p.rank,
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
