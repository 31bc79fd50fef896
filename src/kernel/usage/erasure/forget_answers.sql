-- Removes some answers that were kept for an Idempotency-Key of a user who was erased.
-- $1 user_id; $2 limit.
-- Index: idempotency_pkey.
delete from usage.idempotency
where user_id = $1
  and scope_hash in (
      select scope_hash from usage.idempotency where user_id = $1 order by scope_hash limit $2
  )
