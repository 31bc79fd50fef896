-- Reads every switch that was ever set, and who set it last: the audit has that. A user who was erased since has no name.
-- No parameters. The limit only says that there are never many.
-- Index: none for the switches, which are a handful of rows; audit_switch_idx, user_pkey.
select
    s.name, s.is_on, s.reason, s.changed_at,
    a.actor_kind as "actor_kind?", u.name as "actor_name?"
from ops.switch s
left join lateral (
    select e.actor_kind, e.actor_user_id
    from ops.audit e
    where e.action = 'switch.set' and e.subject = s.name
    order by e.acted_at desc
    limit 1
) a on true
left join account.user u on u.user_id = a.actor_user_id
limit 100
