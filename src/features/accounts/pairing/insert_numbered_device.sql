-- Adds a device, whose name gets a number where an active device of the user has it. No row where the user has too many
-- already.
-- $1 user_id, $2 device_id, $3 name, $4 platform, $5 machine_hash or null, $6 limit: active devices that a user may have.
-- Index: device_name_is_unique_while_active for the count and for each name that is tried.
insert into account.device (user_id, device_id, name, platform, machine_hash)
select $1, $2, n.candidate, $4, $5
from (
    select position, case position
            when 1 then $3::text
            else left($3::text, 99 - char_length(position::text)) || ' ' || position
        end as candidate
    from generate_series(1, $6::bigint + 1) as position
) n
where not exists (
        select from account.device d where d.user_id = $1 and d.name = n.candidate and d.revoked_at is null
    )
    and (select count(*) from account.device d where d.user_id = $1 and d.revoked_at is null) < $6::bigint
order by n.position
limit 1
