-- Deletes exactly the named events.
-- $1 user_ids, $2 ids: position by position. The user ids let Citus route; the ids alone are unique.
-- Index: outbox_pkey.
delete from usage.outbox
where user_id = any($1::uuid[]) and id = any($2::bigint[])
