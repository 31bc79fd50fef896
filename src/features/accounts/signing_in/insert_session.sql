-- Begins a session. No row where the code that begins it has begun one before.
-- $1 token_hash: of a token that nobody is given; $2 token_id; $3 kind: viewer or operator; $4 user_id;
-- $5 lifetime_s: after so many seconds it is refused, by the database's clock as for every token.
-- Index: token_pkey.
insert into account.token (token_hash, token_id, kind, user_id, expires_at, is_session)
values ($1, $2, $3, $4, transaction_timestamp() + make_interval(secs => $5), true)
on conflict (token_hash) do nothing
