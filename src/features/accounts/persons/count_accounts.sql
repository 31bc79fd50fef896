-- Counts what accounts has of a user, revoked and expired rows included.
-- $1 user_id.
-- Index: device_pkey, token_user_id_idx, link_code_user_id_idx.
select
    (select count(*) from account.device d where d.user_id = $1) as "devices!",
    (select count(*) from account.token t where t.user_id = $1) as "tokens!",
    (select count(*) from account.link_code c where c.user_id = $1) as "link_codes!"
