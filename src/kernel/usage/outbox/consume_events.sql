-- Deletes exactly the named events.
-- $1 user_ids, $2 ids: position by position. The ids alone are unique; the user ids let Citus
-- route.
-- Index: outbox_pkey.
delete from usage.outbox
where user_id = any($1::uuid[]) and id = any($2::bigint[])
