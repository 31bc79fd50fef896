-- Removes some events of a user who was erased, parked ones included. The relay would consume the
-- others without effect.
-- $1 user_id; $2 limit.
-- Index: outbox_pkey.
delete from usage.outbox
where user_id = $1
  and id in (select id from usage.outbox where user_id = $1 order by id limit $2)
