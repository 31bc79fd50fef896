-- Lists a user's devices, revoked ones included, in the order of their registration, which is the
-- order of their ids, with how often they reported less for old half hours than was known, and
-- whether they count or take snapshots.
-- $1 user_id; $2 after: only devices after this id, or null; $3 limit.
-- Index: device_pkey, token_device_idx for the last use, kept_pkey, device_kind_pkey.
select
    d.device_id, d.name, d.platform, d.created_at, d.revoked_at,
    (
        select max(t.last_used_at)
        from account.token t
        where t.user_id = d.user_id and t.device_id = d.device_id
    ) as last_used_at,
    d.speaks, d.heard_at,
    coalesce(k.snapshots, 0) as "kept!",
    k.last_kept_at as "last_kept_at?",
    c.counts as "counts?"
from account.device d
left join usage.kept k on k.user_id = d.user_id and k.device_id = d.device_id
left join usage.device_kind c on c.user_id = d.user_id and c.device_id = d.device_id
where d.user_id = $1 and ($2::uuid is null or d.device_id > $2)
order by d.device_id
limit $3
