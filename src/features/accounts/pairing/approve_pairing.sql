-- Approves a pairing, unless somebody has. No row where the user has too many codes that could still be used.
-- $1 code_hash, $2 user_id, $3 created_at, $4 expires_at, $5 limit: usable codes that a user may have.
-- Index: link_code_user_id_idx, link_code_pkey.
insert into account.link_code (code_hash, user_id, created_at, expires_at)
select $1, $2, $3::timestamptz, $4::timestamptz
where (
    select count(*)
    from account.link_code c
    where c.user_id = $2 and c.used_at is null and c.expires_at > $3::timestamptz
) < $5
on conflict (code_hash) do nothing
