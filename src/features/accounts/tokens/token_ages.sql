-- Counts the tokens that work, and among them those that should be looked at.
-- $1 now; $2 idle_days: not used for so long; $3 old_days: an operator's token that was issued so long ago;
-- $4 overlap_s: how long a token lives on when another one has taken its place.
-- Index: none; every token is looked at.
select
    count(*) as "working!",
    count(*) filter (
        where coalesce(t.last_used_at, t.created_at) < $1::timestamptz - make_interval(days => $2)
    ) as "idle!",
    count(*) filter (
        where t.kind = 'operator' and t.created_at < $1::timestamptz - make_interval(days => $3)
    ) as "old_operators!",
    count(*) filter (
        where not t.is_session and t.last_used_at > t.expires_at - make_interval(secs => $4)
    ) as "expiring_in_use!"
from account.token t
join account.user u on u.user_id = t.user_id
left join account.device d on d.user_id = t.user_id and d.device_id = t.device_id
where t.revoked_at is null
  and (t.expires_at is null or t.expires_at > $1::timestamptz)
  and u.revoked_at is null
  and d.revoked_at is null
