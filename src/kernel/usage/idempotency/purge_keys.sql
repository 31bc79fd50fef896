-- Removes expired records.
-- $1 limit.
-- Index: idempotency_created_at_idx.
delete from usage.idempotency
where (user_id, scope_hash) in (
    select user_id, scope_hash
    from usage.idempotency
    where created_at <= transaction_timestamp() - interval '24 hours'
    limit $1
)
