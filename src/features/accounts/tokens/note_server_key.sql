-- Notes that a server is started with a key. Says how many tokens that still work were made before
-- this key was first used, while there had been another one, and how many were made since a server
-- was started with another key behind the last start with this one. Where no other key is known,
-- nobody knows what made the tokens.
-- $1 fingerprint.
-- Index: server_key_pkey. It reads all tokens, once in the life of a server.
with other as (
    select k.first_started_at, k.last_started_at
    from account.server_key k
    where k.fingerprint <> $1
),
before as (
    select k.last_started_at from account.server_key k where k.fingerprint = $1
),
noted as (
    insert into account.server_key as k (fingerprint)
    values ($1)
    on conflict (fingerprint) do update set last_started_at = transaction_timestamp()
    returning first_started_at
)
select
    count(*) filter (
        where t.created_at < n.first_started_at
          and exists (select from other o where o.first_started_at < n.first_started_at)
    ) as "older!",
    count(*) filter (
        where exists (
            select from other o join before b on o.last_started_at > b.last_started_at
            where t.created_at > b.last_started_at and t.created_at >= o.first_started_at
        )
    ) as "newer!"
from noted n
left join account.token t
    on t.revoked_at is null and (t.expires_at is null or t.expires_at > transaction_timestamp())
