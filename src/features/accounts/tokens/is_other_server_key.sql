-- Says whether servers were started on this database, and none of them with this key.
-- $1 fingerprint.
-- Index: server_key_pkey.
select exists (select from account.server_key)
    and not exists (select from account.server_key k where k.fingerprint = $1) as "is_other!"
