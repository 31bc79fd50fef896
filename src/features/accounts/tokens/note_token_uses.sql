-- Writes down when tokens were last used, and counts those of them that another one has taken the place of, which no session is, and that
-- therefore end soon. The rows are locked in the order of their ids first, so
-- that two processes do not deadlock.
-- $1 token_ids, $2 used_ats: position by position.
-- Index: token_id_is_unique, token_pkey.
with used as (
    select t.token_hash, n.used_at
    from unnest($1::uuid[], $2::timestamptz[]) as n (token_id, used_at)
    join account.token t on t.token_id = n.token_id
    where t.last_used_at is null or t.last_used_at < n.used_at
    order by t.token_id
    for no key update of t
),
noted as (
    update account.token t
    set last_used_at = u.used_at
    from used u
    where t.token_hash = u.token_hash
    returning t.expires_at, t.is_session
)
select count(expires_at) filter (where not is_session) as "expiring!"
from noted
