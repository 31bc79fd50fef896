-- Takes a user who was erased out of the lists of what verifications found. The numbers stay. The
-- worker of such a job loses its lease, because it holds the lists in memory.
-- $1 user_id.
-- lock_jobs_of.sql has locked the jobs at work. Index: none; jobs are few.
update backfill.job j
set drift = (
        select jsonb_object_agg(
            m.key,
            case jsonb_typeof(m.value)
                when 'array' then coalesce(
                    (
                        select jsonb_agg(e.value order by e.place)
                        from jsonb_array_elements(m.value) with ordinality as e (value, place)
                        where e.value ->> 'user_id' is distinct from $1::uuid::text
                    ),
                    '[]'
                )
                else m.value
            end
        )
        from jsonb_each(j.drift) as m (key, value)
    ),
    lease_token = null,
    lease_until = null
where strpos(j.drift::text, $1::uuid::text) > 0
