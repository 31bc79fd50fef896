-- Removes expired records. They are found first, and then deleted by their places; one that was
-- replaced meanwhile stays.
-- $1 limit.
-- Index: idempotency_created_at_idx.
delete from usage.idempotency e
where e.created_at <= transaction_timestamp() - interval '24 hours'
  and e.ctid = any(array(
      select o.ctid
      from usage.idempotency o
      where o.created_at <= transaction_timestamp() - interval '24 hours'
      order by o.created_at
      limit $1
  ))
